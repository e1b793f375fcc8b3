# mailmill: make run, make check; README says the rest.

PREFIX	?= /usr/local
DESTDIR	?=
B	:= build
ifdef SANITIZE
B	:= build/sanitize
endif

PKGS	= libbsd-overlay openssl libconfuse libxxhash sqlite3 jansson
CC	?= cc
OPT	?= -O2
WARN	= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2
CPPFLAGS += -I. -D_GNU_SOURCE $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS	?= $(OPT) -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
ALLCFLAGS = -std=gnu11 -pthread -fPIE $(WARN) $(WERROR) $(SAN) $(CFLAGS)
LDFLAGS	+= -pthread -pie -Wl,-z,relro,-z,now $(SAN)
LDLIBS	= $(shell pkg-config --libs $(PKGS) 2>/dev/null)
ifdef SANITIZE
SAN	= -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS	= -O1 -g
endif

# libmailmill.a: what an embedder links: events, scheduler, factory
LIB_SRC	 = core/clock.c core/event.c core/event_io.c core/scheduler.c \
	   core/timers.c core/park.c $(wildcard proto/*.c)
CORE_SRC = $(filter-out $(LIB_SRC),$(wildcard core/*.c))
TLS_SRC	 = $(wildcard tls/*.c)
D_SRC	 = $(wildcard cmd/mailmilld/*.c)
CTL_SRC	 = $(wildcard cmd/mailmillctl/*.c)
UNIT_SRC = $(shell find test/unit -name '*.c' 2>/dev/null)

obj	= $(patsubst %.c,$(B)/%.o,$(1))

all: $(B)/mailmilld $(B)/mailmillctl $(B)/libmailmill.a

$(B)/libmailmill.a: $(call obj,$(LIB_SRC))
$(B)/libcore.a: $(call obj,$(CORE_SRC))
$(B)/libtls.a: $(call obj,$(TLS_SRC))
%.a:
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

$(B)/mailmilld: $(call obj,$(D_SRC)) $(B)/libmailmill.a $(B)/libcore.a
	$(CC) $(LDFLAGS) -o $@ $(call obj,$(D_SRC)) -Wl,--start-group $(B)/libmailmill.a $(B)/libcore.a -Wl,--end-group $(LDLIBS)
$(B)/mailmillctl: $(call obj,$(CTL_SRC)) $(B)/libcore.a
	$(CC) $(LDFLAGS) -o $@ $(call obj,$(CTL_SRC)) $(B)/libcore.a $(LDLIBS)
$(B)/unit: $(call obj,$(UNIT_SRC)) $(B)/libmailmill.a $(B)/libcore.a $(B)/libtls.a
	$(CC) $(LDFLAGS) -o $@ $(call obj,$(UNIT_SRC)) -Wl,--start-group $(B)/libmailmill.a $(B)/libcore.a $(B)/libtls.a -Wl,--end-group $(LDLIBS) -lcriterion

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALLCFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(B) -name '*.d' 2>/dev/null)

unit: $(B)/unit
	$(B)/unit -j2

clean:
	rm -rf build

.PHONY: all unit clean
