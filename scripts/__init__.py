"""What one runs beside the service."""
