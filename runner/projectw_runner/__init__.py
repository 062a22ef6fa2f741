"""The program on a GPU node: takes one job at a time from the server and turns its recording into text."""
