"""What all workflows may use to keep their concurrency bounded; the first modules of the remediation."""
