"""What people hear in the regions that detectors point at: stored, planned, exchanged, and compared."""
