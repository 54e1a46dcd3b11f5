"""Says what it was given, and reads a file that is mounted."""
import os
import sys

from wit_world import exports


class Run(exports.Run):
    def run(self):
        with open("/etc/greeting/text") as file:
            print("python:", "+".join(sys.argv[1:]), os.environ["COLOUR"], file.read())
