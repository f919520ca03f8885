"""Two models for each airport of origin, and how good they are."""

from kedro.pipeline import Pipeline, node

from flights.airports import AIRPORTS

from . import nodes

# What other stages make or use has a name of its own, EWR_metrics; the rest stays in the namespace, EWR.train_set.
INPUTS = ("model_input",)
OUTPUTS = ("test_set", "delay_model", "metrics", "calibration")
# Shared by all airports
PARAMETERS = {
    "delay_cap",
    "delay_threshold",
    "feature_columns",
    "model_options",
    "model_options.random_state",
    "model_options.test_size",
}


def create_template() -> Pipeline:
    """Split, fit, predict and score for one airport."""
    return Pipeline(
        [
            node(
                nodes.split_train_test,
                ["model_input", "params:model_options.test_size", "params:model_options.random_state"],
                ["train_set", "test_set"],
                name="split_train_test",
            ),
            node(
                nodes.fit_baseline,
                ["train_set", "params:delay_threshold"],
                "baseline",
                name="fit_baseline",
            ),
            node(
                nodes.fit_delay_model,
                ["train_set", "params:feature_columns", "params:model_options", "params:delay_cap"],
                "delay_model",
                name="fit_delay_model",
                tags="heavy",
            ),
            node(
                nodes.fit_late_model,
                ["train_set", "params:feature_columns", "params:model_options", "params:delay_threshold"],
                "late_model",
                name="fit_late_model",
                tags="heavy",
            ),
            node(
                nodes.predict_test_set,
                [
                    "test_set",
                    "baseline",
                    "delay_model",
                    "late_model",
                    "params:feature_columns",
                    "params:delay_threshold",
                ],
                "predictions",
                name="predict_test_set",
            ),
            node(
                nodes.score_predictions,
                "predictions",
                ["metrics", "calibration"],
                name="score_predictions",
            ),
        ]
    )


def create_pipeline(**_: object) -> Pipeline:
    """Repeat the template under the namespace of every airport."""
    template = create_template()
    airports = (
        Pipeline(
            template,
            namespace=airport,
            inputs={name: f"{airport}_{name}" for name in INPUTS},
            outputs={name: f"{airport}_{name}" for name in OUTPUTS},
            parameters=PARAMETERS,
        )
        for airport in AIRPORTS
    )
    return sum(airports, start=Pipeline([]))
