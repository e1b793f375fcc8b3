/* Every bound that is set at compile time, with its reason. */

#ifndef CORE_LIM_H
#define CORE_LIM_H

#define LIM_COMMAND_LINE	4096	/* octets with CRLF accepted; RFC 5321 4.5.3.1.4 asks for 512, extensions add to it: SOLICIT 1007, AUTH 500, ORCPT 500 */
#define LIM_AUTH_LINE		12288	/* octets with CRLF of AUTH and of the lines of its exchange; RFC 4954 4 finds them sufficient */
#define LIM_AUTH_OCTETS		(LIM_AUTH_LINE / 4 * 3)	/* what such a line can hold in base64 */
#define LIM_AUTH_CHALLENGE	8192	/* octets of a challenge; in base64 it fits in LIM_AUTH_LINE */
#define LIM_AUTH_MECHANISM	20	/* octets of a mechanism's name; RFC 4422 3.1 */
#define LIM_AUTH_SECONDS	660	/* wait for a verdict: longer than any auth_timeout; for a host that never answers */
#define LIM_LOGIN		255	/* octets of a login's name, which gets into headers and the log */
#define LIM_REPLY_LINE		512	/* octets with CRLF; RFC 5321 4.5.3.1.5 */
#define LIM_LOCAL_PART		64	/* octets; RFC 5321 4.5.3.1.1 */
#define LIM_DOMAIN		255	/* octets; RFC 5321 4.5.3.1.2 */
#define LIM_PATH		256	/* octets with punctuation; RFC 5321 4.5.3.1.3 */
#define LIM_ENVID		100	/* octets of ENVID=; RFC 3461 4.4 */
#define LIM_ORCPT		500	/* octets of ORCPT=; RFC 3461 4.2 */
#define LIM_ENVELOPE		(1 << 20) /* octets of an envelope in the spool: some 4,000 recipients of full length, 1,300 with ORCPT of full length, 25,000 usual ones */
#define LIM_ENVELOPE_RCPTS	(LIM_ENVELOPE - 16384) /* of them for recipients: what is said of the message needs less than the rest */
#define LIM_ALIAS_DEPTH		16	/* aliases of aliases: more than anybody can follow */
#define LIM_ALIAS_RCPTS		50000	/* who get one message through aliases: each costs a row of the queue, all in one transaction */
#define LIM_ALIAS_RCPTS_TEXT	"50000"
#define LIM_SCRATCH		65536	/* octets of the worker's one input buffer */
#define LIM_COMMAND_READ	LIM_AUTH_LINE	/* octets read at once outside DATA: bounds what a session may have to keep; the longest line fits */
#define LIM_OUTPUT		16384	/* octets of replies gathered before input has to wait */
#define LIM_OUTPUT_LEAST	4096	/* octets of the replies to one command: room for them is made before it; only a challenge of AUTH may need more, and is given up then */
#define LIM_PROXY_HEADER	4096	/* octets of a PROXY header with the TLVs that proxies send (certificates of clients are the largest) */
#define LIM_EXTENSIONS		16	/* verbs added with esmtp_extensions_register(): bounds the EHLO reply */
#define LIM_VALIDATE_MODULES	64	/* policy modules, our own included */
#define LIM_JOB_THREADS		16	/* that do the jobs of one class: what blocks waits for a disk, which more do not make faster */
#define LIM_HOOK_PROVIDERS	16	/* of one hook; their lists need no memory of their own */
#define LIM_VCTX_PAIRS		64	/* entries of a validation dictionary: bounds a session's memory */
#define LIM_VCTX_KEY		64	/* octets */
#define LIM_VCTX_VALUE		1024	/* octets */
#define LIM_VCTX_FIELDS		8192	/* octets of the header fields that modules add to a message */
#define LIM_ANSWER_SECONDS	240	/* wait for the host's answer about a recipient; RFC 5321 4.5.3.2.3: clients wait five minutes for the reply */
#define LIM_POLICY_SECONDS	240	/* wait for modules, all together, that are asked about a command, likewise */
#define LIM_MESSAGE_SECONDS	540	/* wait for modules, all together, that are asked about a whole message; RFC 5321 4.5.3.2.6: clients wait ten minutes */
#define LIM_ASYNC_SECONDS	600	/* wait for a commit, or before the banner */
#define LIM_TLS_JOBS		256	/* handshakes of a worker that wait for a signature, each with a stack of 32 KiB */
#define LIM_RCPTS_SHARE		98304	/* octets of a session's recipients that are never too much: 100 of the greatest length (RFC 5321 4.5.3.1.8), each with ORCPT, arrays growing by half */
#define LIM_RCPTS_WORKER	(64 << 20) /* octets of the recipients of all sessions of a worker, after which no session with more than LIM_RCPTS_SHARE may have another one: 1,000 in each of 1,000 sessions; the rest of a session is bounded by LIM_COMMAND_READ and LIM_OUTPUT */
#define LIM_RCPTS_CLIENT	(LIM_RCPTS_WORKER / 4) /* the same for those of one client's sessions that have more than LIM_RCPTS_SHARE: three other greedy ones leave room for more */
#define LIM_HELD_MESSAGE	4096	/* octets that a message which is held counts for beyond its body, for held_quota: its envelope, a file and its inode */
#define LIM_HELD_RCPT		1024	/* and for each recipient: a row with two addresses and a login, and its place in two indexes */
#define LIM_LOG_REFUSALS	50	/* lines that one session writes to the log of refused commands, and as many of failed logins: more than the default of Max_Errors and than what fail2ban waits for */
#define LIM_LOG_CLIENTS		4096	/* clients of a worker whose lines in the log are counted, the latest ones; 200 octets each */
#define LIM_CLIENT_LINE		2048	/* octets kept of a line of a next hop's reply; RFC 5321 4.5.3.1.5 asks for 512, a challenge of SCRAM with a nonce of 1024 fits */
#define LIM_CLIENT_REPLY	65536	/* octets of a whole reply of a next hop: after more it has no end */
#define LIM_CLIENT_WORDS	512	/* octets that are kept of what a reply says, for a bounce and the log */
#define LIM_CLIENT_READ		4096	/* octets of replies read at once */
#define LIM_CLIENT_OUTPUT	32768	/* octets of commands and body gathered for a next hop; replies are read meanwhile, so that neither waits for the other */
#define LIM_CLIENT_COMMAND	8192	/* octets of a command: an address of LIM_COMMAND_LINE, ORCPT in xtext three times as long as LIM_ORCPT */
#define LIM_CLIENT_SECONDS	7200	/* for a transaction from MAIL to the end of its body, whatever each reply is allowed: a next hop that uses each timeout of RFC 5321 4.5.3.2 up would keep one for days */
#define LIM_CLIENT_RATE		128	/* octets a second on average that a next hop has to take of a body beyond that time */
#define LIM_MIME_DEPTH		100	/* multiparts inside each other that are looked into when a message is converted for a next hop; what is deeper passes if it need not be changed; RFC 2046 sets no bound */
#define LIM_MIME_BOUNDARY	200	/* octets of a boundary; RFC 2046 5.1.1 permits 70, some programs put long host names in */
#define LIM_MIME_HELD		131072	/* octets of a part that are kept until it is known how it is converted: its header, and the begin of its body if that is said to be 7-bit; the headers of most messages have 2,000 to 20,000 */
#define LIM_TLS_CHAIN		10	/* certificates between that of a next hop and that of an authority; RFC 5280 6 sets no bound, the chains of public authorities have two */
#define LIM_TLS_CHAIN_OCTETS	65536	/* of the certificates that a next hop sends; chains of public authorities have 3,000 to 8,000 */
#define LIM_TLS_SESSIONS	1024	/* that a client's context keeps to be resumed, those used last */
#define LIM_TLS_SESSION		8192	/* octets of one, with the server's certificate and its ticket; most have 1,500 to 3,000 */
#define LIM_TLS_SESSION_SECONDS	3600	/* that one may be resumed after the handshake in which the server has shown its certificate: it may be revoked, or not be in DNS any more */
#define LIM_TLS_AUTHORITIES	(4 << 20) /* octets of the certificates of authorities; those of a system have 250,000 */
#define LIM_LABEL		63	/* octets of a part of a domain between dots; RFC 1035 2.3.4 */
#define LIM_LOOKUP_OCTETS	12288	/* of the records in the answer of a look-up: 40 MX records with the longest names, some 400 with usual ones */
#define LIM_LOOKUP_ADDRESSES	32	/* of a host, of each family: what is beyond them is left out */
#define LIM_LOOKUPS		1024	/* questions of a process that wait for the resolver */
#define LIM_LOOKUP_SECONDS	60	/* for the answer to one, with a resolver that dies meanwhile: longer than name servers are waited for, unless the settings say so */
#define LIM_STS_TEXT		65536	/* octets of a policy of MTA-STS as its server sends it; RFC 8461 3.3 suggests the bound */
#define LIM_STS_MX		8192	/* octets of its patterns of MX hosts, each with an end: 32 of the greatest length, some 300 usual ones */
#define LIM_STS_ID		32	/* octets of its id in the DNS; RFC 8461 3.1 */
#define LIM_STS_DOMAINS		20000	/* whose policies are kept; some 500 octets each with a usual policy */
#define LIM_STS_OCTETS		(16 << 20) /* of these together: a policy with all its patterns has LIM_STS_MX */
#define LIM_STS_SECONDS		200	/* for the answer about one domain: two look-ups of LIM_LOOKUP_SECONDS each, a transfer of a minute */
#define LIM_TLSRPT_URIS		4	/* to which a report of TLS is sent, of those that a domain names (RFC 8460 3), also if it names others at each try; most name one */
#define LIM_TLSRPT_URI		1024	/* octets of one; an address of the greatest length with each octet encoded fits */
#define LIM_TLSRPT_REPORT	(1 << 20) /* octets of a report, compressed, that is posted: LIM_TLSRPT_ROWS of the largest that does not shrink have half of it */
#define LIM_TLSRPT_DOMAINS	10000	/* of which a day's connections are counted: those that come first */
#define LIM_TLSRPT_ROWS		100	/* of a domain and day: connections that differ in policy, host, address or words; others are counted without these */
#define LIM_TLSRPT_DAY_ROWS	100000	/* of all domains of a day, likewise: 30 MB of usual ones, 500 MB of the largest */
#define LIM_TLSRPT_POLICY	4096	/* octets of a policy in a report: TLSA records of a rollover, some 150 patterns of MTA-STS */
#define LIM_TLSRPT_REASON	256	/* octets of the words of a failure in a report; RFC 8460 4.3.1 wants them short */
#define LIM_TLSRPT_TOLD		32768	/* octets that relay tells of connections at once, once a second: some 250 hosts with usual names */
#define LIM_SENDMAIL_HEADER	(1 << 20) /* octets of the header of a message that a program on this host sends; 20,000 recipients */
#define LIM_MAILDROP_FILES	1000	/* messages of one account that wait for the server to be started */
#define LIM_MAILDROP_OCTETS	(256 << 20) /* of them together, two of the default of Max_Message_Size among them */
#define LIM_MAILDROP_FREE	20	/* part of the file system, one in so many, that the maildrop leaves to others */
#define LIM_MAILDROP_SECONDS	600	/* for the messages of one account, each time that the maildrop is emptied */
#define LIM_MAILDROP_LIFE	432000	/* seconds that a message waits whose recipients the server refuses for now: 5 days, RFC 5321 4.5.4.1 */
#define LIM_NAME		64	/* octets of process and module names */

#endif
