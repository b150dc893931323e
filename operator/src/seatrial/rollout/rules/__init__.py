"""The planner's rules, a module for each concern: what is asked first, what is wanted, and one for each stage."""
