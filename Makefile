# mailmill: make run, make check; README says the rest.
#
#	make			build/mailmilld, mailmillctl, mailmill-sendmail, libmailmill*.*
#	make run		try it on 127.0.0.1:2525, state under ./run/
#	make check		all tests; SANITIZE=1: under ASan and UBSan
#	make bench		compare with smtp-sink; BENCH='--only accept10'
#	make powercut		cut the power of a disk; POWERCUT='--fs xfs'
#	make sim SEED=n		replay one seed of the simulator
#	make fuzz TIME=60	libFuzzer, so many seconds a target; TARGETS='a b';
#				FUZZER=afl: AFL++
#	make fuzz-cover		lines of each file that the kept inputs reach
#	make install		DESTDIR= PREFIX= SYSCONFDIR= LIBDIR= INCLUDEDIR=
#	make uninstall		the same
#	make abidiff OLD=FILE	how a library differs from that one; NEW=FILE, or folders
#	make accounts		the accounts it runs under, and the maildrop; make install
#				does that, too, but not with DESTDIR
#	make install-sendmail	mailmill-sendmail as sendmail, mailq and newaliases:
#				SENDMAILDIR=, BINDIR=; never over those of another server
#	make unit arch clean

PREFIX	?= /usr/local
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
DESTDIR	?=
SBINDIR	?= $(PREFIX)/sbin
BINDIR	?= $(PREFIX)/bin
LIBDIR	?= $(PREFIX)/lib
PROGDIR	?= $(PREFIX)/lib/mailmill
SENDMAILDIR ?= $(SBINDIR)
MAILDROP ?= /var/spool/mailmill-maildrop
INCLUDEDIR ?= $(PREFIX)/include
MANDIR	?= $(PREFIX)/share/man
EXAMPLES = $(PREFIX)/share/doc/mailmill/examples
UNITDIR	?= $(PREFIX)/lib/systemd/system
FILTER	= /etc/fail2ban/filter.d/mailmilld.conf
CONF	= $(SYSCONFDIR)/mailmill/mailmill.conf

B	:= build
ifdef SANITIZE
B	:= build/sanitize
endif

PKGS	= libbsd-overlay openssl libxxhash sqlite3 jansson libgsasl libseccomp libidn2 libcares zlib
CC	?= cc
OPT	?= -O2
WARN	= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2
CPPFLAGS += -I. -I$(B)/include -D_GNU_SOURCE $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS	?= $(OPT) -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
ALLCFLAGS = -std=gnu2x -pthread -fPIE $(WARN) $(WERROR) $(SAN) $(CFLAGS)
LDFLAGS	+= -pthread -pie -Wl,-z,relro,-z,now $(SAN)
LDLIBS	= $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lunistring -lcrypt
ifdef SANITIZE
SAN	= -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS	= -O1 -g
export LSAN_OPTIONS = suppressions=$(CURDIR)/test/lsan.supp:print_suppressions=0
endif
# "make fuzz" sets it: all that a fuzzer is to see the coverage of.  AFL++'s
# compiler adds that by itself
ifdef FUZZ
SAN	= -fsanitize=$(if $(filter afl,$(FUZZ)),,fuzzer-no-link$(comma))address,undefined \
	  -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS	= -O1 -g
endif
comma	:= ,

# libmailmill: what an embedder links: events, scheduler, factory; nothing that
# needs another library than libc and those of addresses that are UTF-8
IDN	= $(shell pkg-config --libs libidn2 2>/dev/null) -lunistring
LIB_SRC	 = $(filter-out core/util/saslprep.c $(SASL_SRC),\
	   $(wildcard core/loop/*.c core/util/*.c core/jobs/*.c \
	   proto/*/*.c))
CORE_SRC = $(filter-out $(LIB_SRC),$(wildcard core/*/*.c))
TLS_SRC	 = $(wildcard tls/*.c tls/*/*.c)
SASL_SRC = $(wildcard proto/sasl/*.c)
# libmailmill-tls: what needs OpenSSL, too, and copies of what libmailmill keeps
# to itself
TLSLIB_SRC = $(filter-out tls/keeper%,$(TLS_SRC)) $(SASL_SRC) \
	   $(addprefix core/util/,addr.c base64.c fileio.c require.c saslprep.c wipe.c) \
	   core/table/passwdfile_scram.c proto/auth/esmtp_auth_mech.c
SET_SRC	 = $(wildcard cmd/settings/*.c)
D_SRC	 = $(wildcard cmd/mailmilld/*.c cmd/mailmilld/*/*.c \
	   cmd/mailmilld/*/*/*.c) $(SET_SRC)
CTL_SRC	 = $(wildcard cmd/mailmillctl/*.c) $(SET_SRC)
SEND_SRC = $(wildcard cmd/sendmail/*.c)
DROP_SRC = $(wildcard cmd/maildrop/*.c)
UNIT_SRC = $(shell find test/unit -name '*.c' 2>/dev/null)
# every other test program: one folder, one program of its name
PROGRAMS = $(patsubst test/%/,$(B)/%,$(sort $(dir \
	   $(wildcard test/dialogues/*.c test/sim/*.c test/embed/*.c \
	   test/fuzz/*.c))))

# what an embedder may include
PUBLIC_D = core proto tls/library
PUBLIC_H = $(wildcard $(PUBLIC_D:%=%/*.h) $(PUBLIC_D:%=%/*.def)) tls/ec_ssl.h
# by that name: links, so that there is no copy
INCLUDE_H = $(addprefix $(B)/include/mailmill/,$(notdir $(PUBLIC_H)))
MAN	 = $(wildcard man/*.[13578])

comma	:= ,
# V=1 shows the commands
say	= $(if $(V),,@echo '  $(1) $@';)
obj	= $(patsubst %.c,$(B)/%.o,$(1))
libs	= $(WHOLE:%=-Wl$(comma)--whole-archive % -Wl$(comma)--no-whole-archive) \
	  -Wl,--start-group $(filter-out $(WHOLE),$(filter %.a,$^)) \
	  -Wl,--end-group $(LDLIBS)

LIBS	= libmailmill libmailmill-tls
all: $(addprefix $(B)/,mailmilld mailmillctl mailmill-sendmail mailmill-maildrop) \
    $(foreach l,$(LIBS),$(B)/$(l).a $(B)/$(l).so.0)

# An embedder gets libmailmill.a and .so, which have no names but those of the
# map; the server and the tests link the same objects as they are.
# Hidden functions are called directly, and inlined, in the shared library, too.
MAP	= proto/library/libmailmill.map
TLSMAP	= tls/library/libmailmill-tls.map
PIC	= -fPIC -fvisibility=hidden -fno-semantic-interposition
$(call obj,$(sort $(LIB_SRC) $(TLSLIB_SRC))): ALLCFLAGS += $(PIC)
$(call obj,$(sort $(LIB_SRC) $(TLSLIB_SRC))): $(B)/.pic
# the code of unit tests need not be fast, and is nearly half of what is compiled
ifeq ($(origin OPT),file)
$(call obj,$(UNIT_SRC)): OPT = -O1
endif
$(B)/libmailmill.a: $(B)/libengine.a $(MAP) proto/library/archive.sh
	$(call say,AR)sh proto/library/archive.sh $(MAP) $< $@
$(B)/libmailmill.so.0: $(call obj,$(LIB_SRC)) $(MAP)
	$(call say,LD)$(CC) $(filter-out -pie,$(LDFLAGS)) -shared -Wl,-z,defs \
	    -Wl,-soname,$(@F) -Wl,--version-script=$(MAP) -o $@ $(filter %.o,$^) $(IDN)

$(B)/libmailmill-tls.a: $(B)/libtlsengine.a $(TLSMAP) proto/library/archive.sh
	$(call say,AR)sh proto/library/archive.sh $(TLSMAP) $< $@
$(B)/libmailmill-tls.so.0: $(call obj,$(TLSLIB_SRC)) $(TLSMAP) $(B)/libmailmill.so.0
	$(call say,LD)$(CC) $(filter-out -pie,$(LDFLAGS)) -shared -Wl,-z,defs \
	    -Wl,-soname,$(@F) -Wl,--version-script=$(TLSMAP) -o $@ \
	    $(filter %.o %.so.0,$^) $(shell pkg-config --libs libssl libcrypto libgsasl)

$(B)/libengine.a: $(call obj,$(LIB_SRC))
$(B)/libtlsengine.a: $(call obj,$(TLSLIB_SRC))
$(B)/libcore.a: $(call obj,$(CORE_SRC))
$(B)/libtls.a: $(call obj,$(TLS_SRC) $(SASL_SRC))
$(B)/libd.a: $(filter-out %/main.o,$(call obj,$(D_SRC) $(SEND_SRC) $(DROP_SRC)))
$(B)/libtest.a: $(call obj,$(wildcard test/lib/*.c))
# a file that has been removed is newer than nothing
$(B)/libcore.a $(B)/libtls.a $(B)/libd.a $(B)/libtest.a: $(B)/.src
%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR)ar rcs $@ $(filter %.o,$^)

# Modules that mailmilld loads call the functions of libmailmill: the whole of it is
# linked into the server, which has the names of the map, and no others, for them.
SERVERS	= $(addprefix $(B)/,mailmilld hostile/mailmilld stepped/mailmilld)
$(SERVERS): $(B)/.src
$(SERVERS): WHOLE = $(B)/libengine.a
$(SERVERS): LDFLAGS += -Wl,--dynamic-list=$(B)/modules.list
$(SERVERS): $(B)/modules.list
$(B)/modules.list: $(MAP)
	@mkdir -p $(@D)
	@{ echo '{'; sed -n '/^	[a-z]\w*;$$/p' $<; echo '};'; } > $@

# authd alone asks PAM
$(B)/mailmilld $(B)/unit: LDLIBS += -lpam
# linear_test.c counts the octets that memchr() looks at; utf8_fail.c makes
# utf8_lower() fail, queue_fixture.c reallocarray()
$(B)/unit: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,memchr memmem memmove \
	reallocarray utf8_lower)
$(B)/mailmilld: $(call obj,$(D_SRC)) $(B)/libengine.a $(B)/libcore.a $(B)/libtls.a
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(libs)
$(B)/mailmillctl: $(call obj,$(CTL_SRC)) $(B)/libcore.a $(B)/libengine.a
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(libs)
# they are for every account, one of them set-group-id: no library that they do not
# need
$(B)/mailmill-sendmail: LDLIBS = $(shell pkg-config --libs libbsd-overlay) $(IDN)
$(B)/mailmill-sendmail: $(filter-out %/main.o,$(call obj,$(DROP_SRC))) \
    $(call obj,$(SEND_SRC)) $(B)/libengine.a
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(libs)
$(B)/mailmill-maildrop: LDLIBS = $(shell pkg-config --libs libbsd-overlay)
$(B)/mailmill-maildrop: $(call obj,$(DROP_SRC)) $(B)/libengine.a
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(libs)
$(B)/unit: $(call obj,$(UNIT_SRC)) $(B)/libd.a $(B)/libengine.a $(B)/libtest.a $(B)/libcore.a $(B)/libtls.a
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(libs) -lcriterion

test_obj = $(call obj,$(wildcard test/$(1)/*.c))
$(B)/dialogues: $(call test_obj,dialogues) $(B)/libtest.a $(B)/libengine.a $(B)/libcore.a $(B)/libtls.a
$(B)/sim: $(call test_obj,sim) $(B)/libtest.a $(B)/libengine.a $(B)/libcore.a $(B)/libtls.a
# the simulator's allocator stands between every object and libc's
$(B)/sim: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc \
	  reallocarray free strdup strndup)
# the targets of libFuzzer; this program gives them the kept corpus, and needs
# no clang
FUZZ_LIBS = $(addprefix $(B)/lib,d.a test.a engine.a core.a tls.a)
$(B)/fuzz $(B)/fuzzer: LDLIBS += -lpam
# test/fuzz/role.h: a process of mailmilld in that of the fuzzer
$(B)/fuzz $(B)/fuzzer: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,child_run \
	  child_exit child_drop child_load_crypto privs_raise_nofile \
	  socket spool_writer_drain monotonic_ms)
$(B)/fuzz: $(call test_obj,fuzz) $(FUZZ_LIBS)
$(B)/fuzzer: $(filter-out %/replay.o,$(call test_obj,fuzz)) $(FUZZ_LIBS)
	$(call say,LD)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) \
	    $(libs)
# what an embedder has: the one library, and no other
$(B)/embed: $(call test_obj,embed) $(B)/libmailmill.a
$(B)/spoolbench: $(B)/test/bench/spoolbench.o $(B)/libengine.a $(B)/libcore.a
$(B)/queuefill: $(B)/test/bench/queuefill.o $(B)/libengine.a $(B)/libcore.a
$(B)/logsink: $(B)/test/bench/logsink.o
$(B)/tlsbench: $(B)/test/bench/tlsbench.o
# mailmilld in the hands of somebody else: test/hostile/hostile.h
$(B)/hostile/mailmilld: LDLIBS += -lpam
$(B)/hostile/mailmilld: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,child_run \
	  channel_open channel_free channel_send channel_recv \
	  spool_end_encode spool_segment_close)
$(B)/hostile/mailmilld: $(call test_obj,hostile) $(call obj,$(D_SRC)) $(B)/libengine.a $(B)/libcore.a $(B)/libtls.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(libs)
# mailmilld whose wall clock a test can set: test/stepped/stepped.c
$(B)/stepped/mailmilld: LDLIBS += -lpam
$(B)/stepped/mailmilld: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,time \
	  clock_gettime gettimeofday)
$(B)/stepped/mailmilld: $(call test_obj,stepped) $(call obj,$(D_SRC)) $(B)/libengine.a $(B)/libcore.a $(B)/libtls.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(libs)
$(PROGRAMS) $(B)/spoolbench $(B)/queuefill $(B)/logsink $(B)/tlsbench:
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(libs)

$(INCLUDE_H):
	@mkdir -p $(@D)
	@ln -srf $(filter %/$(@F),$(PUBLIC_H)) $@

$(B)/%.o: %.c | $(B)/.deps $(INCLUDE_H)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(ALLCFLAGS) -MMD -MP -c -o $@ $<

# where the programs look for their configuration
WITH_CONF = $(B)/cmd/mailmilld/main.o $(call obj,$(CTL_SRC) $(SEND_SRC) $(DROP_SRC))
$(WITH_CONF): $(B)/.conf
$(WITH_CONF): CPPFLAGS += -DMAILMILL_CONF='"$(CONF)"' \
	-DSEND_MAILDROP='"$(MAILDROP)"' \
	-DSEND_DROP_PROGRAM='"$(PROGDIR)/mailmill-maildrop"' \
	-DSEND_CONTROL_PROGRAM='"$(SBINDIR)/mailmillctl"'
# what objects depend on, and no file has
$(B)/.conf: now = $(CONF) $(MAILDROP) $(PROGDIR) $(SBINDIR)
$(B)/.pic: now = $(PIC) $(sort $(LIB_SRC) $(TLSLIB_SRC))
$(B)/.src: now = $(sort $(CORE_SRC) $(TLS_SRC) $(D_SRC) $(SEND_SRC) $(DROP_SRC) $(wildcard test/lib/*.c))
$(B)/.conf $(B)/.pic $(B)/.src: FORCE | $(B)/.deps
	@echo '$(now)' | cmp -s - $@ || echo '$(now)' > $@
FORCE:

# one line that names the Debian packages, before the first compile error
$(B)/.deps: test/deps.sh
	@sh test/deps.sh check build
	@mkdir -p $(@D)
	@touch $@

-include $(shell find $(B) -type f -name '*.d' 2>/dev/null)

tests: all $(PROGRAMS) $(B)/hostile/mailmilld $(B)/stepped/mailmilld $(if $(UNIT_SRC),$(B)/unit)

unit: $(B)/unit
	@sh test/unit/unit_check.sh $(B)/unit -j2

SEEDS	?= 20000
dialogues: $(B)/dialogues
	$(B)/dialogues

sim: $(B)/sim
	$(if $(SEED),,$(B)/sim --selftest)
	$(B)/sim $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

TIME	?= 60
TARGETS	?=
FUZZER	?= libfuzzer
FUZZ_CC	?= $(if $(filter afl,$(FUZZER)),afl-clang-fast,clang)
FUZZ_B	= build/fuzzing-$(FUZZER)
fuzz:
	@sh test/deps.sh install fuzz-$(FUZZER)
	@AFL_QUIET=1 $(MAKE) --no-print-directory B=$(FUZZ_B) CC='$(FUZZ_CC)' \
	    FUZZ=$(FUZZER) $(FUZZ_B)/fuzzer
	@sh test/fuzz/fuzz.sh $(FUZZER) $(FUZZ_B)/fuzzer $(TIME) $(TARGETS)

# the kept inputs, in a build that counts
COVER_B	= build/fuzzing-cover
COVER	= $(COVER_B)/fuzz -instr-profile=$(COVER_B)/fuzz.profdata
fuzz-cover:
	@sh test/deps.sh install fuzz-cover
	@$(MAKE) --no-print-directory B=$(COVER_B) CC=clang OPT=-O1 \
	    SAN='-fprofile-instr-generate -fcoverage-mapping' $(COVER_B)/fuzz
	@LLVM_PROFILE_FILE=$(COVER_B)/fuzz.profraw $(COVER_B)/fuzz >$(COVER_B)/fuzz.log
	@llvm-profdata merge -o $(COVER_B)/fuzz.profdata $(COVER_B)/fuzz.profraw
	@llvm-cov report $(COVER) proto tls core cmd

embed: $(B)/embed
	@sh test/embed/embed_check.sh $(B)/embed

arch: all
	python3 test/arch/check.py --objects $(B)

run:
	@sh test/deps.sh install run
	@$(MAKE) --no-print-directory all
	@sh test/run.sh $(B)

NEW	?= $(B)
OLD_INCLUDE ?= $(B)/include/mailmill
NEW_INCLUDE ?= $(B)/include/mailmill
abidiff: $(LIBS:%=$(B)/%.so.0)
	@[ -n "$(OLD)" ] || { echo 'usage: make abidiff OLD=FILE|FOLDER' >&2; exit 2; }
	@command -v abidiff >/dev/null || { echo 'mailmill: missing; as root:' \
	    'apt-get install abigail-tools' >&2; exit 1; }
	python3 proto/library/abidiff.py proto/library/libmailmill.abignore \
	    $(OLD_INCLUDE) $(NEW_INCLUDE) $(OLD) $(NEW)

check:
	@bash test/check.sh $(if $(SANITIZE),sanitize)

bench:
	@sh test/deps.sh install bench
	@$(MAKE) --no-print-directory all $(B)/logsink $(B)/queuefill \
	    $(B)/spoolbench $(B)/tlsbench
	@sh test/bench/bench.sh $(B) $(BENCH)

# the disk that writes down, and two servers that do not flush: noflush.h
PC	= $(B)/test/powercut
powercut:
	@sh test/deps.sh install powercut
	@$(MAKE) --no-print-directory all $(PC)/blocklog \
	    $(PC)/commit-flush/mailmilld $(PC)/delivery-flush/mailmilld
	@MAILMILL_BUILD=$(abspath $(B)) python3 test/powercut/powercut.py $(POWERCUT)
$(PC)/blocklog.o: CPPFLAGS += $(shell pkg-config --cflags fuse3 2>/dev/null)
$(PC)/blocklog: $(PC)/blocklog.o
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $< $(shell pkg-config --libs fuse3)
$(PC)/commit-flush/noflush.o: core/spool/spool_commit.c
$(PC)/commit-flush/noflush.o: CPPFLAGS += -DNO_COMMIT_FLUSH
$(PC)/delivery-flush/noflush.o: core/maildir/deliver.c
$(PC)/delivery-flush/noflush.o: CPPFLAGS += -DNO_DELIVERY_FLUSH
$(PC)/%/noflush.o: test/powercut/noflush.h
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(ALLCFLAGS) -include $< -c -o $@ $(filter %.c,$^)
$(PC)/%/mailmilld: LDLIBS += -lpam
$(PC)/%/mailmilld: $(PC)/%/noflush.o $(call obj,$(D_SRC)) $(B)/libengine.a $(B)/libcore.a $(B)/libtls.a
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(libs)
.PRECIOUS: $(PC)/%/noflush.o

# $(call keep,ACTION,COPY,FILE): what an administrator has edited stays
keep	= sh cmd/mailmilld/init/keep.sh $(1) \
	  $(DESTDIR)$(PREFIX)/share/mailmill/$(strip $(2)) $(DESTDIR)$(strip $(3))
paths	= sed 's|@SBINDIR@|$(SBINDIR)|g; s|@CONF@|$(CONF)|g; s|@FILTER@|$(FILTER)|g' $(1)
# for pkg-config(1); a folder below PREFIX is named relative to it
below	= $(patsubst $(PREFIX)/%,$${prefix}/%,$(1))
VERSION	= $(shell sed -n 's/^.define MAILMILL_VERSION_M[A-Z]*.//p' \
	  core/version.h | paste -sd.)
pc	= sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(call below,$(LIBDIR))|; \
	  s|@INCLUDEDIR@|$(call below,$(INCLUDEDIR))|; s|@VERSION@|$(VERSION)|'

# headers and examples of an older version do not stay beside those of this one
install: all
	rm -rf $(DESTDIR)$(INCLUDEDIR)/mailmill $(DESTDIR)$(EXAMPLES)
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig \
	    $(DESTDIR)$(PROGDIR) $(DESTDIR)$(MANDIR)/man1 \
	    $(DESTDIR)$(INCLUDEDIR)/mailmill \
	    $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(MANDIR)/man5 \
	    $(DESTDIR)$(MANDIR)/man7 $(DESTDIR)$(MANDIR)/man8 \
	    $(DESTDIR)$(SYSCONFDIR)/mailmill \
	    $(DESTDIR)$(UNITDIR) $(DESTDIR)/etc/init.d \
	    $(DESTDIR)$(PREFIX)/share/mailmill
	install -m 755 $(B)/mailmilld $(B)/mailmillctl $(B)/mailmill-sendmail \
	    $(DESTDIR)$(SBINDIR)
	install -m 755 $(B)/mailmill-maildrop $(DESTDIR)$(PROGDIR)
	@for l in $(LIBS); do \
		install -m 644 $(B)/$$l.a $(B)/$$l.so.0 $(DESTDIR)$(LIBDIR) && \
		ln -sf $$l.so.0 $(DESTDIR)$(LIBDIR)/$$l.so && \
		$(pc) */library/$${l#lib}.pc.in | install -m 644 /dev/stdin \
		    $(DESTDIR)$(LIBDIR)/pkgconfig/$${l#lib}.pc || exit; \
	done
	install -m 644 $(PUBLIC_H) $(DESTDIR)$(INCLUDEDIR)/mailmill
	install -d $(DESTDIR)$(EXAMPLES)/modules
	install -m 644 $(wildcard test/library/examples/*.*) \
	    test/library/examples/Makefile $(DESTDIR)$(EXAMPLES)
	install -m 644 $(wildcard test/library/examples/modules/*) \
	    $(DESTDIR)$(EXAMPLES)/modules
	@for m in $(MAN); do \
		install -m 644 $$m $(DESTDIR)$(MANDIR)/man$${m##*.} || exit; \
	done
	@$(call paths,cmd/mailmilld/mailmill.conf) | $(call keep,install 644,\
	    mailmill.conf,$(CONF))
	@$(call paths,cmd/mailmilld/init/fail2ban.conf) | $(call keep,\
	    install 644,fail2ban.conf,$(FILTER))
	@$(call paths,cmd/mailmilld/init/mailmilld.service.in) | $(call keep,\
	    install 644,mailmilld.service,$(UNITDIR)/mailmilld.service)
	@$(call paths,cmd/mailmilld/init/mailmilld.in) | $(call keep,\
	    install 755,mailmilld.init,/etc/init.d/mailmilld)
	@[ "$$(id -u)" != 0 ] || [ -n "$(DESTDIR)" ] || \
	    { ldconfig; $(MAKE) --no-print-directory accounts; }

# what is there is left alone, unless it is a link that this has made
install-sendmail:
	@install -d $(DESTDIR)$(SENDMAILDIR) $(DESTDIR)$(BINDIR)
	@for f in $(SENDMAILDIR)/sendmail $(BINDIR)/mailq $(BINDIR)/newaliases; do \
		case $$(readlink $(DESTDIR)$$f || ls -d $(DESTDIR)$$f 2>/dev/null) in \
		''|$(SBINDIR)/mailmill-sendmail) \
			ln -sfn $(SBINDIR)/mailmill-sendmail $(DESTDIR)$$f || exit ;; \
		*) echo "mailmill: $(DESTDIR)$$f is that of another program:" \
		    "remove it first, or use update-alternatives(1)" >&2; exit 1 ;; \
		esac; \
	done

accounts:
	@sh cmd/mailmilld/init/accounts.sh
	@sh cmd/maildrop/maildrop.sh $(MAILDROP) $(PROGDIR)/mailmill-maildrop

# the configuration, the accounts, the mail and what was edited stay
uninstall:
	@for f in $(SENDMAILDIR)/sendmail $(BINDIR)/mailq $(BINDIR)/newaliases; do \
		[ "$$(readlink $(DESTDIR)$$f)" != $(SBINDIR)/mailmill-sendmail ] || \
		    rm -f $(DESTDIR)$$f; \
	done
	rm -f $(DESTDIR)$(SBINDIR)/mailmilld $(DESTDIR)$(SBINDIR)/mailmillctl \
	    $(DESTDIR)$(SBINDIR)/mailmill-sendmail \
	    $(DESTDIR)$(PROGDIR)/mailmill-maildrop \
	    $(foreach l,$(LIBS),$(addprefix $(DESTDIR)$(LIBDIR)/,$(l).a $(l).so \
	    $(l).so.0 pkgconfig/$(l:lib%=%).pc))
	@$(call keep,remove,fail2ban.conf,$(FILTER))
	@$(call keep,remove,mailmilld.service,$(UNITDIR)/mailmilld.service)
	@$(call keep,remove,mailmilld.init,/etc/init.d/mailmilld)
	rm -rf $(DESTDIR)$(INCLUDEDIR)/mailmill $(DESTDIR)$(PREFIX)/share/mailmill \
	    $(DESTDIR)$(EXAMPLES)
	@for m in $(MAN); do \
		rm -f $(DESTDIR)$(MANDIR)/man$${m##*.}/$${m##*/}; \
	done

clean:
	rm -rf build build-*

.PHONY: FORCE all tests unit dialogues sim fuzz fuzz-cover embed arch run abidiff check bench powercut install install-sendmail accounts uninstall clean
