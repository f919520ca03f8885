"""What commands do, without the printing: `init`, `create`, `manifests`, `build-image` and `info`."""
