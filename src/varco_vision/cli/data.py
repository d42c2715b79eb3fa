"""`varco-vision data`: make, check, convert, count and look at training data."""

from __future__ import annotations

from varco_vision.cli import common, data_check, data_convert, data_make

app = common.new_app(no_args_is_help=True, help="Make, check, convert, count and look at training data.")


@app.callback()
def group() -> None:
    """Keeps the verbs a group, however many there are."""


app.command()(data_make.make)
app.command()(data_check.validate)
app.command()(data_convert.convert)
app.command()(data_check.stats)
app.command()(data_check.preview)
