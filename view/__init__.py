"""The live view: a lab in a web page, while it runs or from the folder of its run.

    evidence   frames.py  captures.py  walks.py  mirror.py  ──▶  story.py   a run as numbered items
    live       poll.py    act.py       process.py                           what the folder lacks
    page       server.py  single_file.py  wall.py  command.py               how it reaches the browser

Live view and replay share one path: a story reads the run's folder and keeps reading as it grows. A live view
writes what the folder would lack, such as the director's tables, into it (view.jsonl).
"""
