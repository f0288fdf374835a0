"""The coordinator: owns the database, the broker's threads and the printers' processes."""
