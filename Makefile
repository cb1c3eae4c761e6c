# llama2swift: `make demo` shows it, `make test` proves it, `make help` lists the rest.
.PHONY: test help
test:
	@bash Tests/run
help:
	@sed -n 's/^## //p' Makefile
