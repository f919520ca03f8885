"""Project settings; what is not here is Kedro's default."""

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment may change one field of a parameter group (conf/prod does) without repeating the rest.
    "merge_strategy": {"parameters": "soft"},
}
