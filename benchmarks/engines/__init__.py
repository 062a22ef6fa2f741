"""What ``benchmarks.engine`` is made of: engines that transcribe the same samples, each in a process of its own.

``options`` says what is asked, ``contenders`` who takes part, ``material`` which recordings, ``weights`` which
weights; ``messages`` is what a ``process`` and its ``child`` say to one another, ``transcribers`` are the engines
in the child; ``rounds`` lets them compute in turn, ``busy`` looks at the graphics card meanwhile, ``scores`` counts
wrong words, ``tables`` puts it all together.
"""
