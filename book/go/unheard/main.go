// A Go program that asks for no signal: what each signal does to it is Go's doing, and not the kernel's.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	fmt.Println("asked for nothing, pid", os.Getpid())
	time.Sleep(time.Minute)
}
