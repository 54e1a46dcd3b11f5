/* The smallest useful guest in another language than Rust: it greets whom its
 * arguments name, and ends with the status that the environment asks for. */

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc < 2)
        puts("Hello from C, world!");
    for (int i = 1; i < argc; i++)
        printf("Hello from C, %s!\n", argv[i]);
    const char *status = getenv("EXIT_STATUS");
    return status ? atoi(status) : 0;
}
