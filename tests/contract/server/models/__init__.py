"""Models as their libraries' own exporters write them: files kept beside the script that makes them."""
