package main

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const prompt = "Once upon a time"

// What is hard in Go: goroutines that change threads, preemption by signals, the collector, panics in callbacks.
func hard(model *Model) {
	expected := tell(model, 1)
	stories, signals := storiesAreTheSameUnderSignals(model, expected)
	threads := aContextGoesFromThreadToThread(model)
	panics := aPanicInACallbackComesOutAndTheContextLives(model, expected)
	aSecondUserIsRefused(model)
	handles := handlesThatLookLikeGosHeapDoNotDisturbTheCollector()
	fmt.Printf("%d stories of 64 goroutines were equal under %d SIGURG and collections; a context was used on %d threads; "+
		"%d panics came out of callbacks; "+
		"the collector left alone %d handles like %#x\n", stories, signals, threads, panics, len(handles), handles[0].value())
}

func tell(model *Model, threads int) string {
	context, err := model.Context(threads)
	mustBe(fmt.Sprint("a context: ", err), err == nil)
	defer context.Free()
	var text strings.Builder
	err = context.Story(prompt, func(piece string) { text.WriteString(piece) })
	mustBe(fmt.Sprint("a story: ", err), err == nil)
	return text.String()
}

// SIGURG is what Go interrupts its own threads with. Sent to the process it arrives on any thread, the library's too.
func storiesAreTheSameUnderSignals(model *Model, expected string) (stories, signals int64) {
	var done atomic.Bool
	var noise, work sync.WaitGroup
	noise.Add(2)
	go func() {
		for ; !done.Load(); signals++ {
			syscall.Kill(syscall.Getpid(), syscall.SIGURG)
			time.Sleep(50 * time.Microsecond)
		}
		noise.Done()
	}()
	go func() { // collections stop all goroutines, those that run Go code by signals
		for !done.Load() {
			runtime.GC()
		}
		noise.Done()
	}()
	for i := 0; i < 64; i++ {
		work.Add(1)
		go func(threads int) {
			mustBe("the same story", tell(model, threads) == expected)
			atomic.AddInt64(&stories, 1)
			work.Done()
		}(1 + i%8/7) // every eighth with a pool of its own
	}
	work.Wait()
	done.Store(true)
	noise.Wait()
	mustBe("many signals", signals >= 100)
	return
}

// One goroutine after the other does a step; each holds its thread, so that the next one is on another.
func aContextGoesFromThreadToThread(model *Model) int {
	context, err := model.Context(2)
	mustBe("a context", err == nil)
	defer context.Free()
	same, err := model.Context(1)
	mustBe("a context", err == nil)
	defer same.Free()
	tokens, _ := model.Tokenize(prompt)
	threads := map[int]bool{}
	release := make(chan bool)
	for _, token := range tokens {
		step := make(chan error)
		go func(token int32) {
			runtime.LockOSThread() // for the test only
			err := context.Eval([]int32{token})
			threads[syscall.Gettid()] = true
			step <- err
			<-release
		}(token)
		mustBe("a step", <-step == nil)
	}
	close(release)
	mustBe("a prompt", same.Eval(tokens) == nil)
	ours, _ := context.Logits()
	theirs, _ := same.Logits()
	for i := range theirs {
		mustBe("the same bits", ours[i] == theirs[i])
	}
	mustBe("a thread for each token", len(ours) == 512 && len(threads) == len(tokens))
	return len(threads)
}

func aPanicInACallbackComesOutAndTheContextLives(model *Model, expected string) int {
	context, err := model.Context(2)
	mustBe("a context", err == nil)
	defer context.Free()
	tokens, _ := model.Tokenize(prompt)
	once := func(last int) (caught any) {
		defer func() { caught = recover() }()
		pieces := 0
		context.Reset()
		context.Generate(tokens, 20, func(string) bool {
			if pieces++; pieces == last {
				panic(pieces)
			}
			return true
		})
		return nil
	}
	for i := 0; i < 50; i++ {
		mustBe("the panic", once(1+i%10) == 1+i%10)
	}
	var text strings.Builder
	context.Story(prompt, func(piece string) { text.WriteString(piece) })
	mustBe("the same story", text.String() == expected)
	return 50
}

func aSecondUserIsRefused(model *Model) {
	context, err := model.Context(1)
	mustBe("a context", err == nil)
	defer context.Free()
	tokens, _ := model.Tokenize(prompt)
	busy := func(err error) bool { f, is := err.(*Failure); return is && f.Status == -62 && f.Sentence == "busy" }
	err = context.Generate(tokens, 20, func(string) bool {
		other := make(chan error)
		go func() { other <- context.Reset() }()
		mustBe("busy for another goroutine and for the callback", busy(<-other) && busy(context.Reset()))
		return false
	})
	mustBe("the generation", err == nil)
	invalid := context.Eval([]int32{512})
	mustBe(fmt.Sprint("a sentence: ", invalid), invalid != nil && strings.Contains(invalid.Error(), "512"))
}

// A handle counts how often its place was used: after 49,152 times it has the value of an address in Go's heap, here of
// four different ones in memory that was used and given up. Kept as unsafe.Pointer they end the program: "found bad
// pointer in Go heap".
func handlesThatLookLikeGosHeapDoNotDisturbTheCollector() (kept []*Sampler) {
	const heap, step, size = 0xc000000000, 1 << 24, 1 << 30
	garbage := make([]byte, size)
	mustBe("Go's heap begins there", uintptr(unsafe.Pointer(&garbage[0]))>>32 == heap>>32)
	garbage = nil
	var spent []*Sampler // in places that were used too often already
	for attempt := 0; len(kept) < 4; attempt++ {
		mustBe("a place that is used again and again", attempt < 1_000_000)
		sampler, err := NewSampler()
		mustBe("a sampler", err == nil)
		switch count := sampler.value() / step; {
		case count < heap/step:
			sampler.Free()
		case count < (heap+size)/step:
			kept = append(kept, sampler)
		default:
			spent = append(spent, sampler)
		}
	}
	for _, sampler := range spent {
		sampler.Free()
	}
	for i := 0; i < 20; i++ {
		runtime.GC()
	}
	for _, sampler := range kept {
		mustBe("a handle after collections", sampler.Reset() == nil)
		sampler.Free()
	}
	return kept
}
