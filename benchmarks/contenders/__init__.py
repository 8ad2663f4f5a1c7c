"""The engines that are compared, each in a process of its own, under the interpreter that has its library."""
