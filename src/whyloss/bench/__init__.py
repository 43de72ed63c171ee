"""Every loss and engine on this machine, beside plain torch and the peers that are installed.

A case is a shape, a subject a loss, an implementation one way to compute it. Runs take turns on the same inputs."""
