"""Writes the report of a study: one file, which loads nothing and lets nothing be loaded."""

from collections.abc import Mapping
from pathlib import Path

from distune.errors import UserError
from distune.export.files import complete
from distune.export.leaderboard import parameter_names
from distune.page.frozen import frozen_page
from distune.report.page_data import page_data
from distune.report.study_data import STAGE, StudyData


def write_report(
    data: StudyData, about: Mapping[str, str], out: Path | None, color_by: str | None = None
) -> Path:
    """Write the report of a study; what was there under that name is replaced when it is done.

    Args:
        data: of the study.
        about: when, where and by which command, as `page_data` takes it.
        out: the file; `NAME-report.html` in the current directory if None.
        color_by: as `page_data` takes it.

    Returns:
        The file.

    Raises:
        UserError: there is no such parameter, or the file cannot be written.
    """
    name = data.study.name
    known = [*([STAGE] if data.stages else []), *parameter_names(data.history)]
    if color_by is not None and color_by not in known:
        raise UserError(
            f"--color-by: {name} has no parameter {color_by!r}; there are {', '.join(known)}"
        )
    target = out or Path(f"{name}-report.html")
    page = frozen_page(f"Study {name}", page_data(data, about, color_by))
    with complete(target) as draft:
        draft.write_text(page, encoding="utf-8")
    return target
