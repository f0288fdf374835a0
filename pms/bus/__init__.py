"""ZeroMQ between the coordinator and the printers' processes."""
