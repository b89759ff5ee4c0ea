"""The faults that the suite is measured with: the reference store, with one realistic fault each."""
