"""Where things stand in the repository."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo-project"
AIRFLOW_PROBE = ROOT / "tests" / "support" / "airflow_probe" / "probe.py"
BARRIER_PUBLISHER = ROOT / "tests" / "support" / "barrier_publisher.py"
KILL_POINTS = ROOT / "tests" / "support" / "kill_points.py"
CREATE_REPORT = ROOT / "tests" / "support" / "create_report.py"
