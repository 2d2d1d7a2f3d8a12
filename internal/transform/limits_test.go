package transform_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/transform"
)

// hostile are scripts that want more than they may have. Each must end, within its time and its memory,
// and leave the engine good for the next one. The kind "" means that it may end well.
var hostile = []struct {
	name, body string
	kinds      []transform.Kind
}{
	{"an endless loop", `for (;;);`, timeouts},
	{"an endless loop that catches everything", `for (;;) try { for (;;); } catch {} finally { for (;;); }`, timeouts},
	{"an endless recursion", `(function f() { f() })()`, threw},
	{"an endless recursion that catches everything", `(function f() { try { f() } catch { f() } })()`, timeouts},
	{"a recursion in JSON", `JSON.parse("[".repeat(1e6))`, threw},
	{"a recursion in JSON that is written", `let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; JSON.stringify(o)`, deep},
	{"a recursion in the parser", `eval("(".repeat(1e6))`, threw},
	{"a recursion in the compiler of regular expressions", `new RegExp("(?:".repeat(1e6))`, threw},
	{"a recursion in proxies", `let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x`, deep},
	{"a recursion in accessors", `const o = { get x() { return this.x } }; o.x`, threw},
	{"a recursion in toString", `const o = { toString() { return "" + this } }; "" + o`, threw},
	{"a recursion in generators", `function* g() { yield* g() } g().next()`, threw},
	{"a regular expression that backtracks", `/(a+)+$/.test("a".repeat(50) + "b")`, timeouts},
	{"another one", `/^(([a-z])+.)+[A-Z]([a-z])+$/.test("a".repeat(60))`, timeouts},
	{"a loop inside the engine", `Array.prototype.includes.call({ length: 2 ** 53 - 1 }, 1)`, timeouts},
	{"a loop inside the engine, backwards", `Array.prototype.lastIndexOf.call({ length: 2 ** 53 - 1 }, 1)`, timeouts},
	{"a loop inside the engine over a proxy", `Array.prototype.map.call(new Proxy([], { get: (_, k) => k === "length" ? 2 ** 32 - 2 : 1 }), x => x)`, whatever},
	{"a long string", `"x".repeat(2 ** 30)`, whatever},
	{"a string that doubles", `let s = "x"; for (;;) s += s`, whatever},
	{"many strings", `const a = []; for (;;) a.push("x".repeat(1e5) + a.length)`, stopped},
	{"a filled array", `new Array(1e9).fill(0)`, memories},
	{"ten gigabytes", `const a = []; for (let i = 0; i < 1e4; i++) a.push(new ArrayBuffer(1 << 20))`, memories},
	{"ten gigabytes at once", `new ArrayBuffer(10 * 2 ** 30)`, whatever},
	{"a typed array", `new Float64Array(2 ** 28)`, whatever},
	{"memory that is taken again and again", `for (;;) { try { const a = []; for (;;) a.push(new ArrayBuffer(1 << 20)) } catch {} }`, stopped},
	{"a map", `const m = new Map(); for (let i = 0; ; i++) m.set(i, {})`, stopped},
	{"a linked list", `let o = null; for (;;) o = { o }`, stopped},
	{"closures", `let f = () => 0; for (;;) { const g = f; f = () => g }`, stopped},
	{"symbols", `const o = {}; for (;;) o[Symbol()] = 1`, stopped},
	{"a large integer", `let x = 3n; for (;;) x *= x`, whatever},
	{"a promise loop", `return (async () => { for (;;) await 0 })()`, timeouts},
	{"a promise that spawns promises", `return new Promise(() => { (function f() { Promise.resolve().then(f); Promise.resolve().then(f) })() })`, stopped},
	{"a thenable that never ends", `return Promise.resolve({ then(f) { f(this) } })`, timeouts},
	{"a result that is too large", `webhook.payload = { a: new Array(1e6).fill("12345678901234567890") }; return webhook`, whatever},
	{"a result that doubles itself", `let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; webhook.payload = a; return webhook`, whatever},
	{"a result that never ends", `webhook.payload = { get x() { return { toJSON: () => ({ x: this }) } } }; return webhook`, whatever},
	{"a getter in the result that never ends", `return { get payload() { for (;;); } }`, timeouts},
	{"headers without end", `webhook.headers = new Proxy({}, { ownKeys: () => Array.from({ length: 1e6 }, (_, i) => "h" + i), getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }), get: () => "v" }); return webhook`, whatever},
	{"a console that is flooded", `for (;;) console.log("x".repeat(1e6))`, stopped},
	{"a sort without end", `const a = Array.from({ length: 1e6 }, (_, i) => i); for (;;) a.sort(() => Math.random() - 0.5)`, stopped},
	{"a string that is searched", `const s = "a".repeat(1e6); for (;;) s.replaceAll("a", "b")`, stopped},
	{"a date", `for (;;) new Date().toString()`, timeouts},
	{"a broken prototype", `Object.prototype.toJSON = () => { throw 1 }; webhook.payload = {}; return webhook`, threw},
	{"a prototype without a bottom", `Object.setPrototypeOf(Object.prototype, new Proxy({}, {})); return webhook`, whatever},
	{"a changed language", `JSON.stringify = JSON.parse = Array.isArray = Object.keys = () => { for (;;); };
		Array.prototype[Symbol.iterator] = Array.prototype.push = function () { for (;;); };
		String.prototype.slice = () => { for (;;); }; webhook.payload = [1]; return webhook`, whatever},
	{"a global that is gone", `for (const k of Reflect.ownKeys(globalThis)) try { delete globalThis[k] } catch {} return webhook`, whatever},
	{"an error without an end", `const e = new Error("x"); Object.defineProperty(e, "stack", { get() { for (;;); } }); throw e`, timeouts},
	{"a module", `return import("std")`, threw},
	{"a wait", `Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0)`, threw},
	{"a finalizer", `const r = new FinalizationRegistry(() => { for (;;); }); for (let i = 0; i < 1e5; i++) r.register({}, i); return webhook`, whatever},
}

var (
	timeouts = []transform.Kind{transform.Timeout}
	memories = []transform.Kind{transform.OutOfMemory, transform.Threw} // see thrown: null
	stopped  = []transform.Kind{transform.Timeout, transform.OutOfMemory, transform.Threw}
	threw    = []transform.Kind{transform.Threw}
	deep     = []transform.Kind{transform.Threw, transform.Timeout}
	whatever = []transform.Kind{"", transform.Timeout, transform.OutOfMemory, transform.Threw, transform.BadResult}
)

// TestHostile_HarmsNothingButItsOwnRun watches the memory of the whole process meanwhile.
func TestHostile_HarmsNothingButItsOwnRun(t *testing.T) {
	good := compile(t, `function handler(w) { w.payload.n++; return w }`)
	watch := watchMemory(t)
	short := 75 * time.Millisecond
	if os.Getenv("HARK_TESTS") == "all" {
		short *= 2
	}
	for _, test := range hostile {
		t.Run(test.name, func(t *testing.T) {
			bad := compile(t, "function handler(webhook) {"+test.body+"}")
			limits := unhurried
			if slices.Contains(test.kinds, transform.Timeout) {
				limits.Time = short
			}
			start := time.Now()
			_, err := bad.Run(t.Context(), example, limits)
			took := time.Since(start)
			kind, matched := kindOf(err), false
			for _, k := range test.kinds {
				matched = matched || kind == k && (k != "" || err == nil)
			}
			if !matched {
				t.Errorf("got %v, want one of %q", err, test.kinds)
			}
			if took > limits.Time+20*time.Second { // a run that is not stopped takes for ever
				t.Errorf("took %v", took)
			}
			out, err := good.Run(t.Context(), example, unhurried)
			if err != nil || string(out.Payload) != `{"n":2}` {
				t.Errorf("afterwards: got %s, %v", out.Payload, err)
			}
		})
	}
	heap, resident, workers := watch()
	t.Logf("at most %d MiB of Go's heap more, %d MiB of the process, and %d MiB in workers", heap>>20, resident>>20, workers>>20)
	if heap > 16<<20 || resident > 32<<20 || workers > 600<<20 { // with what the race detector adds
		t.Errorf("used %d MiB of Go's heap, %d MiB of the process and %d MiB in workers", heap>>20, resident>>20, workers>>20)
	}
}

// TestHostile_DoesNotHoldUpGo: code in the sandbox cannot be preempted, so an endless loop in it that never
// came back to Go would stop the collector, and with it the process.
func TestHostile_DoesNotHoldUpGo(t *testing.T) {
	bodies := []string{`for (;;);`}
	if os.Getenv("HARK_TESTS") == "all" {
		bodies = append(bodies, `Array.prototype.includes.call({ length: 2 ** 53 - 1 }, 1)`, `/(a+)+$/.test("a".repeat(50) + "b")`)
	}
	for _, body := range bodies {
		s := compile(t, "function handler() {"+body+"}")
		ctx, enough := context.WithCancel(t.Context())
		defer enough()
		var wg sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				if _, err := s.Run(ctx, example, unhurried); !errors.Is(err, context.Canceled) {
					t.Errorf("%s: got %v", body, err)
				}
			})
		}
		start, longest := time.Now(), time.Duration(0)
		for time.Since(start) < 500*time.Millisecond {
			before := time.Now()
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats) // stops the world
			longest = max(longest, time.Since(before))
			time.Sleep(time.Millisecond)
		}
		enough()
		wg.Wait()
		t.Logf("%s: Go waited for at most %v", body, longest)
		if longest > unhurried.Time/2 {
			t.Errorf("%s: Go waited for %v", body, longest)
		}
	}
}

func TestLimits_MemoryIsTheRunsOwn(t *testing.T) {
	s := compile(t, `function handler(w) { w.payload = [new ArrayBuffer(w.payload.n).byteLength]; return w }`)
	for _, test := range []struct {
		want, limit string
		ok          bool
	}{{"4e6", "8388608", true}, {"12e6", "8388608", false}, {"12e6", "16777216", true}, {"60e6", "0", true}, {"70e6", "0", false}, {"70e6", "1e12", false}} {
		n, _ := strconv.ParseFloat(test.limit, 64)
		in := transform.Input{Message: transform.Message{Payload: []byte(`{"n":` + test.want + `}`)}}
		_, err := s.Run(t.Context(), in, transform.Limits{Memory: int64(n), Time: unhurried.Time})
		if test.ok && err != nil || !test.ok && kindOf(err) != transform.OutOfMemory {
			t.Errorf("%s of %s: got %v", test.want, test.limit, err)
		}
	}
}

func TestRun_EndsWithItsContext(t *testing.T) {
	s := compile(t, `function handler() { for (;;); }`)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := s.Run(ctx, example, transform.Limits{Time: time.Minute}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestRun_WaitsForItsTurn(t *testing.T) {
	e := transform.New(transform.Options{Parallel: 1})
	defer e.Close(context.Background())
	s, err := e.Compile(t.Context(), `function handler(w) { if (w.payload.n) for (;;); return w }`, nil)
	if err != nil {
		t.Fatal(err)
	}
	looping, enough := context.WithCancel(t.Context())
	running := make(chan error)
	go func() {
		_, err := s.Run(looping, example, transform.Limits{Time: time.Minute})
		running <- err
	}()
	brief := transform.Input{Message: transform.Message{Payload: []byte(`{}`)}}
	for began := time.Now(); ; { // until the other one has its turn
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := s.Run(short, brief, unhurried)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil || time.Since(began) > unhurried.Time {
			t.Fatalf("without patience: got %v", err)
		}
	}
	time.AfterFunc(50*time.Millisecond, enough)
	if _, err := s.Run(t.Context(), brief, unhurried); err != nil {
		t.Errorf("with patience: got %v", err)
	}
	if err := <-running; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that had its turn: got %v", err)
	}
}

func TestEngine_NothingRunsAfterClose(t *testing.T) {
	e := transform.New(transform.Options{})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Compile(t.Context(), `const handler = w => w`, nil); err == nil {
		t.Error("it compiled a script")
	}
}

// TestWorker_DoesNotGrow lets one worker run scripts that end in every way, again and again.
func TestWorker_DoesNotGrow(t *testing.T) {
	e := transform.New(transform.Options{Parallel: 1})
	defer e.Close(context.Background())
	before := workerIDs()
	var scripts []*transform.Script
	for _, body := range []string{"return w", "throw new Error('x')", "w.payload = [1]; return w", "return Promise.resolve(w)",
		"return new Promise(() => {})", "globalThis.a = [w, () => w]; return w", "new ArrayBuffer(1e8)", "console.log(w); return 5"} {
		s, err := e.Compile(t.Context(), "function handler(w) {"+body+"}", nil)
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, s)
	}
	size := func() (sum int64) {
		for _, id := range workerIDs() {
			if !slices.Contains(before, id) {
				sum += residentOf(id)
			}
		}
		return sum
	}
	round := func(n int) {
		for range n {
			for _, s := range scripts {
				if _, err := s.Run(t.Context(), example, unhurried); kindOf(err) == transform.Timeout {
					t.Fatal(err)
				}
			}
		}
	}
	round(50)
	first := size()
	round(200)
	grown := size() - first
	t.Logf("%d bytes in %d runs", grown, 200*len(scripts))
	if grown > 16<<20 {
		t.Errorf("it grew by %d MiB", grown>>20)
	}
}

// TestWorker_HasNothing looks at what the system lets a worker have.
func TestWorker_HasNothing(t *testing.T) {
	compile(t, `const handler = w => w`)
	ids := workerIDs()
	if len(ids) == 0 {
		t.Skip("no worker can be found on this system")
	}
	limits, err := os.ReadFile("/proc/" + ids[0] + "/limits")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Max open files 0 0", "Max file size 0 0", "Max core file size 0 0"} {
		if !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), want) {
			t.Errorf("%s is not among\n%s", want, limits)
		}
	}
	environment, _ := os.ReadFile("/proc/" + ids[0] + "/environ")
	if got := strings.Trim(string(environment), "\x00"); got != "TZ=UTC\x00GOTRACEBACK=none" {
		t.Errorf("its environment is %q", got)
	}
}

// TestRun_AWorkerThatDiedIsReplaced kills the idle workers, as the system might when memory is short.
func TestRun_AWorkerThatDiedIsReplaced(t *testing.T) {
	s := compile(t, `const handler = w => w`)
	for _, id := range workerIDs() {
		pid, _ := strconv.Atoi(id)
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill()
		}
	}
	if out, err := s.Run(t.Context(), example, unhurried); err != nil || string(out.Payload) != `{"n":1}` {
		t.Errorf("got %s, %v", out.Payload, err)
	}
}

// TestRun_SeesNothingOfOtherRuns has every run leave traces wherever a script can.
func TestRun_SeesNothingOfOtherRuns(t *testing.T) {
	s := compile(t, `
		let count = 0;
		function handler(w) {
			const seen = [count++, typeof globalThis.left, typeof Object.prototype.left, typeof console.left,
				typeof JSON.left, String(Symbol.for("left").left), handler.left, /(.)/.left, RegExp.left].join();
			const secret = w.payload.secret;
			globalThis.left = Object.prototype.left = console.left = JSON.left = handler.left = RegExp.left = secret;
			Array.prototype.map = () => secret;
			const raw = new Uint8Array(1 << 16).reduce((a, b) => a + b, 0);
			return { payload: [secret, seen, raw] };
		}`)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 50 {
				secret := strconv.Itoa(worker*1000 + i)
				in := transform.Input{Message: transform.Message{Payload: []byte(`{"secret":"` + secret + `"}`)}}
				out, err := s.Run(t.Context(), in, unhurried)
				want := `["` + secret + `","0,undefined,undefined,undefined,undefined,undefined,,,",0]`
				if err != nil || string(out.Payload) != want {
					t.Errorf("got %s, %v, want %s", out.Payload, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestRun_RandomIsNotTheSameEveryTime(t *testing.T) {
	s := compile(t, `const early = Math.random(); function handler(w) { w.payload = [early, Math.random(), Date.now()]; return w }`)
	first, err := s.Run(t.Context(), example, unhurried)
	second, err2 := s.Run(t.Context(), example, unhurried)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if string(first.Payload[:20]) == string(second.Payload[:20]) {
		t.Errorf("got %s twice", first.Payload)
	}
}

func TestRun_ManyAtTheSameTime(t *testing.T) {
	good := compile(t, `function handler(w) { w.payload.n += 1; return w }`)
	bad := compile(t, `function handler(w) { const a = []; for (;;) a.push(new ArrayBuffer(1e6)) }`)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 20 {
				if worker == 0 {
					if _, err := bad.Run(t.Context(), example, transform.Limits{Memory: 8 << 20, Time: unhurried.Time}); kindOf(err) != transform.OutOfMemory {
						t.Errorf("got %v", err)
					}
					continue
				}
				in := transform.Input{Message: transform.Message{Payload: []byte(`{"n":` + strconv.Itoa(i) + `}`)}}
				out, err := good.Run(t.Context(), in, unhurried)
				if want := `{"n":` + strconv.Itoa(i+1) + `}`; err != nil || string(out.Payload) != want {
					t.Errorf("got %s, %v, want %s", out.Payload, err, want)
				}
			}
		})
	}
	wg.Wait()
}

var example = transform.Input{Message: transform.Message{Payload: []byte(`{"n":1}`), URL: "https://example.com/", EventType: "a.b"}}

// watchMemory looks at the process every few milliseconds until it is asked how much more it became: on
// Go's heap, and in all, and how much its workers took together (0 where that cannot be known).
func watchMemory(t *testing.T) func() (heap, resident, workers int64) {
	t.Helper()
	runtime.GC()
	heap0, resident0, _ := memoryNow()
	var heap, resident, workers int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			h, r, w := memoryNow()
			heap, resident, workers = max(heap, h-heap0), max(resident, r-resident0), max(workers, w)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() (int64, int64, int64) {
		close(stop)
		<-stopped
		return heap, resident, workers
	}
}

func memoryNow() (heap, resident, workers int64) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	for _, pid := range workerIDs() {
		workers += residentOf(pid)
	}
	return int64(stats.HeapAlloc), residentOf("self"), workers
}

// residentOf is how much memory a process has; 0 when it is gone, or this is not Linux.
func residentOf(pid string) int64 {
	statm, err := os.ReadFile("/proc/" + pid + "/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// workerIDs finds the workers of this process. None where this is not Linux.
func workerIDs() (ids []string) {
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range commands {
		command, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(command), "\x00transform-worker\x00") {
			continue
		}
		stat, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "stat"))
		if _, rest, _ := strings.Cut(string(stat), ") "); len(strings.Fields(rest)) > 1 && strings.Fields(rest)[1] == strconv.Itoa(os.Getpid()) {
			ids = append(ids, filepath.Base(filepath.Dir(file)))
		}
	}
	return ids
}
