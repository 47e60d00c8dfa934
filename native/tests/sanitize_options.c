/* The sealed copy starts with an environment of its own, so what the sanitizers need is built in. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	/* The programs are not dumpable, and the leak check works through ptrace. Unit tests do look for leaks. */
	return "detect_leaks=0";
}
