"""What the process stands on: configuration, errors, logs, CPUs, the sandbox. Knows no model."""
