"""Trials from the window: one click queues several seeds, and their figures are laid over each other."""

from PySide6.QtWidgets import QAbstractButton, QComboBox, QSpinBox, QTableView

from core.recipe import Recipe
from core.steps import FineTuneSettings, PruneSettings
from core.steps_flow import RewindSettings
from studio.views.trials_window import TrialsWindow

from .user import JOB_TIMEOUT, User

TRAIN = FineTuneSettings(iterations=6, evaluate_every=3, keep="last")
LOTTERY = Recipe(
    name="Small lottery",
    steps=(
        TRAIN,
        PruneSettings(sparsity=0.2, of="remaining", scope="layer"),
        RewindSettings(to="initial"),
        TRAIN,
    ),
)


def test_two_trials_run_and_are_laid_over_each_other(user: User) -> None:
    studio = user.studio
    store, recipe = studio.store, studio.parts.recipe
    assert store is not None
    assert recipe is not None
    studio.workspaces.compress()
    recipe.load_recipe(LOTTERY)
    box = user.see(QSpinBox, "trialsBox")
    box.setValue(2)
    user.click(user.see(QAbstractButton, "runButton"))
    user.until(lambda: sum(run.is_over for run in store.runs()) == 2, JOB_TIMEOUT)
    runs = sorted(store.runs(), key=lambda run: run.seed)
    assert [(run.seed, run.name, run.status) for run in runs] == [
        (0, "Small lottery, trial 1 of 2", "finished"),
        (1, "Small lottery, trial 2 of 2", "finished"),
    ]

    studio.state.set_runs(tuple(run.run_id for run in runs))
    action = studio.actions["trial-figures"]
    user.until(action.isEnabled)
    action.trigger()
    user.until(lambda: bool(user.window.findChildren(TrialsWindow)))
    (window,) = user.window.findChildren(TrialsWindow)
    chooser = window.findChild(QComboBox, "findingChooser")
    titles = [chooser.itemText(n) for n in range(chooser.count())]
    assert any("Overlap of the last masks" in title for title in titles)
    assert len(titles) >= 3
    numbers = window.findChild(QTableView, "findingNumbers")
    assert numbers.model().rowCount() >= 2
    window.close()


def test_runs_without_rounds_are_refused_in_words(user: User) -> None:
    studio = user.studio
    recipe = studio.parts.recipe
    assert recipe is not None
    recipe.load_recipe(Recipe(name="Plain", steps=(TRAIN,)))
    user.until(user.see(QAbstractButton, "runButton").isEnabled)
    record = user.run_and_wait()
    studio.state.set_runs((record.run_id,))
    user.until(studio.actions["trial-figures"].isEnabled)
    with user.qtbot.waitSignal(studio.state.problem) as refused:
        studio.actions["trial-figures"].trigger()
    assert "has no rounds of pruning and rewinding" in refused.args[0].message
