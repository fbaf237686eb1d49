"""Schema 1: runs with their documents, curves, measurements, layers and artifacts. Frozen: never change this file."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables in an empty database."""
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("started", sa.Double(), nullable=True),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("updated", sa.Double(), nullable=False),
        sa.Column("active_seconds", sa.Double(), nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=True),
        sa.Column("measure_latency", sa.Boolean(), nullable=False),
        sa.Column("source_title", sa.Text(), nullable=False),
        sa.Column("source_sha256", sa.String(length=64), nullable=True),
        sa.Column("task_title", sa.Text(), nullable=False),
        sa.Column("recipe_sha256", sa.String(length=64), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("parent_run_id", sa.String(length=64), nullable=True),
        sa.Column("stopped_early", sa.Boolean(), nullable=False),
        sa.Column("starred", sa.Boolean(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", sa.Double(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process_started", sa.String(length=128), nullable=False),
        sa.Column("accuracy_before", sa.Double(), nullable=True),
        sa.Column("accuracy_after", sa.Double(), nullable=True),
        sa.Column("sparsity", sa.Double(), nullable=True),
        sa.Column("dense_bytes", sa.BigInteger(), nullable=True),
        sa.Column("packed_bytes", sa.BigInteger(), nullable=True),
        sa.Column("macs", sa.BigInteger(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_runs")),
        sa.UniqueConstraint("run_id", name=op.f("uq_runs_run_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_runs_accuracy_after"), "runs", ["accuracy_after"], unique=False)
    op.create_index(op.f("ix_runs_accuracy_before"), "runs", ["accuracy_before"], unique=False)
    op.create_index(op.f("ix_runs_active_seconds"), "runs", ["active_seconds"], unique=False)
    op.create_index(op.f("ix_runs_dense_bytes"), "runs", ["dense_bytes"], unique=False)
    op.create_index(op.f("ix_runs_ended"), "runs", ["ended"], unique=False)
    op.create_index(op.f("ix_runs_latency_ms"), "runs", ["latency_ms"], unique=False)
    op.create_index(op.f("ix_runs_macs"), "runs", ["macs"], unique=False)
    op.create_index(op.f("ix_runs_method"), "runs", ["method"], unique=False)
    op.create_index(op.f("ix_runs_name"), "runs", ["name"], unique=False)
    op.create_index(op.f("ix_runs_packed_bytes"), "runs", ["packed_bytes"], unique=False)
    op.create_index(op.f("ix_runs_parent_run_id"), "runs", ["parent_run_id"], unique=False)
    op.create_index(op.f("ix_runs_recipe_sha256"), "runs", ["recipe_sha256"], unique=False)
    op.create_index("ix_runs_shown_created", "runs", ["deleted_at", "archived", "created"], unique=False)
    op.create_index(op.f("ix_runs_source_sha256"), "runs", ["source_sha256"], unique=False)
    op.create_index(op.f("ix_runs_source_title"), "runs", ["source_title"], unique=False)
    op.create_index(op.f("ix_runs_sparsity"), "runs", ["sparsity"], unique=False)
    op.create_index(op.f("ix_runs_starred"), "runs", ["starred"], unique=False)
    op.create_index(op.f("ix_runs_started"), "runs", ["started"], unique=False)
    op.create_index(op.f("ix_runs_status"), "runs", ["status"], unique=False)
    op.create_index(op.f("ix_runs_task_title"), "runs", ["task_title"], unique=False)
    op.create_index(op.f("ix_runs_updated"), "runs", ["updated"], unique=False)
    op.create_table(
        "artifacts",
        sa.Column("run_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_number"], ["runs.number"], name=op.f("fk_artifacts_run_number_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_number", "position", name=op.f("pk_artifacts")),
    )
    op.create_index("ix_artifacts_path", "artifacts", ["path"], unique=False)
    op.create_index("ix_artifacts_sha256", "artifacts", ["sha256"], unique=False)
    op.create_table(
        "layers",
        sa.Column("run_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("shape", sa.JSON(), nullable=False),
        sa.Column("weights", sa.BigInteger(), nullable=False),
        sa.Column("nonzero_weights", sa.BigInteger(), nullable=False),
        sa.Column("macs", sa.BigInteger(), nullable=True),
        sa.Column("extra", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_number"], ["runs.number"], name=op.f("fk_layers_run_number_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_number", "stage", "position", name=op.f("pk_layers")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "measurements",
        sa.Column("run_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("weights", sa.BigInteger(), nullable=False),
        sa.Column("nonzero_weights", sa.BigInteger(), nullable=False),
        sa.Column("dense_bytes", sa.BigInteger(), nullable=False),
        sa.Column("packed_bytes", sa.BigInteger(), nullable=False),
        sa.Column("packing", sa.Text(), nullable=False),
        sa.Column("macs", sa.BigInteger(), nullable=True),
        sa.Column("input_shape", sa.JSON(), nullable=True),
        sa.Column("accuracy_correct", sa.BigInteger(), nullable=True),
        sa.Column("accuracy_count", sa.BigInteger(), nullable=True),
        sa.Column("accuracy_low", sa.Double(), nullable=True),
        sa.Column("accuracy_high", sa.Double(), nullable=True),
        sa.Column("accuracy_loss", sa.Double(), nullable=True),
        sa.Column("accuracy_split", sa.Text(), nullable=True),
        sa.Column("accuracy_task", sa.Text(), nullable=True),
        sa.Column("latency_median_ms", sa.Double(), nullable=True),
        sa.Column("latency_lower_quartile_ms", sa.Double(), nullable=True),
        sa.Column("latency_upper_quartile_ms", sa.Double(), nullable=True),
        sa.Column("latency_minimum_ms", sa.Double(), nullable=True),
        sa.Column("latency_batch_size", sa.Integer(), nullable=True),
        sa.Column("latency_threads", sa.Integer(), nullable=True),
        sa.Column("latency_warmup", sa.Integer(), nullable=True),
        sa.Column("latency_repetitions", sa.Integer(), nullable=True),
        sa.Column("latency_runtime", sa.Text(), nullable=True),
        sa.Column("latency_device", sa.Text(), nullable=True),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_number"], ["runs.number"], name=op.f("fk_measurements_run_number_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_number", "stage", name=op.f("pk_measurements")),
    )
    op.create_table(
        "metrics",
        sa.Column("run_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("iteration", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("split", sa.String(length=32), nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.Double(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_number"], ["runs.number"], name=op.f("fk_metrics_run_number_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "run_number", "step", "iteration", "split", "metric", name=op.f("pk_metrics")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_documents",
        sa.Column("run_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.JSON(), nullable=False),
        sa.Column("task", sa.JSON(), nullable=True),
        sa.Column("recipe", sa.JSON(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("notices", sa.JSON(), nullable=False),
        sa.Column("error_details", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_number"], ["runs.number"], name=op.f("fk_run_documents_run_number_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_number", name=op.f("pk_run_documents")),
    )
    # ### end Alembic commands ###
