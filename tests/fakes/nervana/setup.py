# Where neon's checkout tells its version, until its set-up has written neon/version.py.
VERSION = "0.0.1"
