"""Files and batches: work that can wait for an idle engine.

values     files, batches and their lines, as they are stored
lines      what an input file or a list of requests must look like
database   the SQLite file and the folder of contents
store      the same for the event loop: one thread, every call awaited
lane       runs the lines beside other traffic, without standing in its way
shapes     files and batches in the words of the two wires that have them
"""
