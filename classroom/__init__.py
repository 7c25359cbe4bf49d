"""The classroom: exercises that are started, checked, handed in and marked.

    exercises/NAME/     what an exercise is: texts, fault, checks (data)
    exercise.py         the types of that data
    case.py             what follows from an exercise and a student's id
    altered.py          scripts with a fault in them
    room.py             an exercise that runs: a lab in its sandbox, and the answers at its desk
    probes/             look at the running lab and say what was seen; inside/ has their programs
    checks/             judge what was seen; nothing else
    guided/             what exercises share in which something is made
    submission.py       the one file that is handed in
    command.py          what a student types

    grading/            for teachers only, in the order in which evidence passes
        intake.py       the files that were handed in, in folders and ZIP archives
        origin.py       whether evidence is of the lab of the student whom it names
        marking.py      from a submission to marks
        accounts.py     who has handed a file in
        book.py         from a folder of them to the class book
        reports/        what a class book becomes: one file for each format
        grade.py        ./inv grade: all of that
        archive.py      ./inv student-archive: what students need, without answers; students.md is its page

Checks judge what probes have seen and never look themselves: so `./inv check` in the lab and
`./inv grade` without one are the same code.
"""
