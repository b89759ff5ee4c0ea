"""Our backends that need a server, under the conformance suite."""
