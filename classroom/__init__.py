"""The classroom: exercises are started, checked, handed in and marked.

    exercises/NAME.py, NAME.md   an exercise: its faults, checks and solutions; its text
    model.py            the types of that data, and a student's variant of an exercise
    catalogue.py        finds and loads exercises
    variants.py         draws a variant from a student's id
    script_edits.py     applies an exercise's edits to the set-up scripts
    session.py          a running exercise: a lab in its sandbox, and its control socket
    checks/             for each subject, the probes that observe the lab and the judges of the observations
    in_host/            programs that probes run inside hosts
    worksheet.py, blank_scripts.py   what students complete
    keys.py, submission.py   the file that is handed in, sealed for a class
    diagnosis.py        the words of a diagnosis
    journal.py          the log of an exercise
    command.py          a student's commands, except
    submit.py           the form of ./inv submit, and sealing
    attached.py         selects the running lab for a command

    grading/            for teachers only
        collect.py      the submitted files, in folders and ZIP archives, and the accounts they come from
        provenance.py   whether a submission shows the lab of the student it names
        marking.py      from a submission to a mark
        explanations.py what a cause means, what settles it, and the lesson to read
        gradebook.py    from files to the class's marks and refusals
        reports.py      the reports of a gradebook
        grade.py        ./inv grade, which uses all of these
        sheets.py       ./inv handout and ./inv solution
        archive.py      ./inv student-archive: the files students need, without answers

Judges decide from the probes' observations alone, so `./inv check` in the lab and `./inv grade` without one
run the same code.
"""
