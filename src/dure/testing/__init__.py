"""What tests of Executors need: devices for machines that have none."""
