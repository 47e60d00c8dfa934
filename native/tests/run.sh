#!/bin/sh
# Runs the native tests given, one after the other. A test prints what it checks, exits 0, or 77 when this
# machine cannot run it (its last line says why), anything else when it failed.
failed=0
passed=0
skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for test in "$@"; do
	name=$(basename "$test")
	"$test" >"$log" 2>&1
	status=$?
	if [ $status -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok      $name ($(grep -c '^ok' "$log") checks)"
	elif [ $status -eq 77 ]; then
		skipped=$((skipped + 1))
		echo "skipped $name: $(tail -n 1 "$log")"
	else
		failed=$((failed + 1))
		echo "FAILED  $name (exit $status)"
		sed 's/^/        /' "$log"
	fi
done
echo "native tests: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
