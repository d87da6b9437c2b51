"""What OpenTelemetry is told, by instruments that it reads when it exports."""
