"""What tests share: projects, harnesses and helpers. No test lives here, and no test module imports another."""
