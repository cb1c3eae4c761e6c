// A small binding by cgo; Go 1.19 or later, the standard library alone.
package main

/*
#cgo LDFLAGS: -lllama2swift
#include <llama2swift.h>
#include <stdlib.h>
int32_t goPiece(char *piece, size_t length, void *user_data);
*/
import "C"

import (
	"fmt"
	"runtime/cgo"
	"unsafe"
)

// Any number of goroutines may use a Model at once. Handles are kept as *C.llama2_model: that type is incomplete, so
// Go's collector does not take it for an address (it would take an unsafe.Pointer for one, and find it bad one day).
type Model struct{ handle *C.llama2_model }

// A Context is for one goroutine at a time, on whatever thread that runs: no LockOSThread.
type Context struct {
	handle *C.llama2_context
	model  *Model
}

type Failure struct {
	Status   int32
	Sentence string
}

func (f *Failure) Error() string { return f.Sentence }

// llama2_last_error belongs to the thread of the failed call, and the goroutine may be on another one by now. So
// sentences come from the `error` buffer or from the context; where neither is, the status has to do.
func failure(status C.int32_t, sentence *C.char) error {
	if status == C.LLAMA2_OK {
		return nil
	}
	return &Failure{int32(status), C.GoString(sentence)}
}

func Load(path string) (*Model, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var model Model
	var sentence [512]C.char
	status := C.llama2_model_load(name, nil, &model.handle, &sentence[0], C.size_t(len(sentence)))
	return &model, failure(status, &sentence[0])
}

func (m *Model) Free() { C.llama2_model_free(m.handle) }

func (m *Model) Tokenize(text string) ([]int32, error) {
	bytes := append([]byte(text), 0)      // a text of length 0 needs an address too
	tokens := make([]int32, len(bytes)+1) // never more than the bytes, BOS and a leading space
	var count C.size_t
	status := C.llama2_tokenize(m.handle, (*C.char)(unsafe.Pointer(&bytes[0])), C.size_t(len(text)), C.LLAMA2_TOKENIZE_DEFAULT_BOS,
		(*C.int32_t)(&tokens[0]), C.size_t(len(tokens)), &count)
	return tokens[:count], failure(status, C.llama2_status_string(status))
}

// The cache is in F32 here, so that stories are the golden ones, which were made in float64.
func (m *Model) Context(threads int) (*Context, error) {
	var options C.llama2_context_options
	// cgo does not see macros, and the function llama2_context_options_init knows the struct's first version only
	C.llama2_struct_init(unsafe.Pointer(&options), C.size_t(unsafe.Sizeof(options)))
	options.flags = C.LLAMA2_CONTEXT_KV_F32
	options.threads = C.uint32_t(threads)
	context := Context{model: m}
	var sentence [512]C.char
	status := C.llama2_context_create(m.handle, &options, &context.handle, &sentence[0], C.size_t(len(sentence)))
	return &context, failure(status, &sentence[0])
}

func (c *Context) Free() { C.llama2_context_free(c.handle) }

func (c *Context) check(status C.int32_t) error {
	if status == C.LLAMA2_E_BUSY { // another goroutine is inside, whose error must not be read
		return failure(status, C.llama2_status_string(status))
	}
	return failure(status, C.llama2_context_last_error(c.handle))
}

func (c *Context) Reset() error { return c.check(C.llama2_context_reset(c.handle)) }

func (c *Context) Eval(tokens []int32) error {
	return c.check(C.llama2_eval(c.handle, (*C.int32_t)(&tokens[0]), C.size_t(len(tokens))))
}

// A copy: the library's row lives until the next eval only.
func (c *Context) Logits() ([]float32, error) {
	var row *C.float
	var count C.size_t
	if err := c.check(C.llama2_logits(c.handle, 0, &row, &count)); err != nil {
		return nil, err
	}
	return append([]float32(nil), unsafe.Slice((*float32)(row), int(count))...), nil
}

// What goPiece finds behind the cgo.Handle. C must not keep Go pointers, a Handle is a number.
type receiver struct {
	piece func(string) bool
	panic any
}

// A panic must not pass the library: it would jump over it and leave the context busy for ever.
//
//export goPiece
func goPiece(piece *C.char, length C.size_t, userData unsafe.Pointer) (end C.int32_t) {
	r := (*(*cgo.Handle)(userData)).Value().(*receiver)
	defer func() {
		if r.panic = recover(); r.panic != nil {
			end = 1
		}
	}()
	if !r.piece(C.GoStringN(piece, C.int(length))) {
		end = 1
	}
	return
}

// Generate is greedy; piece says whether it wants more.
func (c *Context) Generate(prompt []int32, maxTokens int, piece func(string) bool) error {
	var greedy C.llama2_sampler_options
	C.llama2_struct_init(unsafe.Pointer(&greedy), C.size_t(unsafe.Sizeof(greedy)))
	greedy.flags = C.LLAMA2_SAMPLER_GREEDY
	var sampler *C.llama2_sampler
	if status := C.llama2_sampler_create(&greedy, &sampler, nil, 0); status != C.LLAMA2_OK {
		return failure(status, C.llama2_status_string(status))
	}
	defer C.llama2_sampler_free(sampler)

	// A struct that is passed to C may not hold pointers to Go's memory: the prompt goes into C's.
	tokens := C.malloc(C.size_t(4 * len(prompt)))
	defer C.free(tokens)
	copy(unsafe.Slice((*int32)(tokens), len(prompt)), prompt)
	var options C.llama2_generate_options
	C.llama2_struct_init(unsafe.Pointer(&options), C.size_t(unsafe.Sizeof(options)))
	options.prompt = (*C.int32_t)(tokens)
	options.prompt_count = C.size_t(len(prompt))
	options.max_tokens = C.uint64_t(maxTokens)

	r := &receiver{piece: piece}
	handle := cgo.NewHandle(r)
	defer handle.Delete()
	status := C.llama2_generate(c.handle, sampler, &options, C.llama2_piece_callback(C.goPiece), unsafe.Pointer(&handle))
	if r.panic != nil {
		panic(r.panic)
	}
	return c.check(status)
}

// Story has 201 positions, prompt included: llama2.c's `run -n 200`, which the golden stories were made like.
func (c *Context) Story(prompt string, piece func(string)) error {
	tokens, err := c.model.Tokenize(prompt)
	if err != nil {
		return err
	}
	if err := c.Reset(); err != nil {
		return err
	}
	piece(prompt)
	return c.Generate(tokens, 201-len(tokens), func(text string) bool { piece(text); return true })
}

type Sampler struct{ handle *C.llama2_sampler }

func NewSampler() (*Sampler, error) {
	var sampler Sampler
	status := C.llama2_sampler_create(nil, &sampler.handle, nil, 0)
	return &sampler, failure(status, C.llama2_status_string(status))
}

func (s *Sampler) value() uintptr { return uintptr(unsafe.Pointer(s.handle)) }

func (s *Sampler) Free() { C.llama2_sampler_free(s.handle) }

func (s *Sampler) Reset() error {
	status := C.llama2_sampler_reset(s.handle)
	return failure(status, C.llama2_status_string(status))
}

func mustBe(what string, ok bool) {
	if !ok {
		panic(fmt.Sprintf("not so: %s", what))
	}
}
