"""What the commands do beyond printing: `init`, `create` and `manifests`."""
