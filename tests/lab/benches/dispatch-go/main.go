// Reports each SIGUSR1 the moment it has it, as the article's program does: from the channel of signal.Notify.
//
// `cargo bench -p lab -- dispatch` builds this program and sends it signals.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"unsafe"
)

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	fmt.Printf("ready pid=%d\n", os.Getpid())
	for ; count > 0; count-- {
		<-signals
		fmt.Printf("at=%d\n", now())
	}
}

// The nanoseconds of CLOCK_MONOTONIC, which is the same in every process. Package time keeps its own reading of it to
// itself.
func now() int64 {
	const clockMonotonic = 1
	var now syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	if errno != 0 {
		panic(errno)
	}
	return now.Nano()
}
