"""Golden sets: their files, their checks, and the files of other tools that become one."""
