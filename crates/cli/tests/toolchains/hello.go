// Says what it was given, reads a file that is mounted, and exits with a number.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	text, err := os.ReadFile("/etc/greeting/text")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Printf("go: %s %s %s\n", strings.Join(os.Args[1:], "+"), os.Getenv("COLOUR"), text)
}
