"""The live view: a lab in a web page, while it runs or from the folder of its run.

    evidence   frames.py  captures.py  walks.py  mirror.py  ──▶  story.py   a run as numbered items
    live       poll.py    act.py       process.py                           what the folder does not have
    page       server.py  single_file.py  wall.py  command.py               who gets to see it

Live and replay are one path: a story reads the run's folder and goes on reading it. What the folder would not
have, such as the director's tables, a live view writes into it (view.jsonl).
"""
