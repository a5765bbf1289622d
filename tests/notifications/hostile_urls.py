"""Hostile URLs made by hand, by what is wrong with them."""

# fmt: off
HAND_MADE_URLS = [
    # literal addresses, and the spellings that C libraries read as addresses
    "http://127.0.0.1", "http://127.0.0.1:80/", "http://127.1", "http://127.0.1", "http://2130706433",
    "http://0x7f000001", "http://0x7f.0.0.1", "http://0x7f.1", "http://127.0.0.0x1", "http://0177.0.0.1",
    "http://017700000001", "http://0", "http://0.0.0.0", "http://0x0", "http://127.000.000.001", "http://127.0.0.01",
    "http://0127.0.0.1", "http://8.8.8", "http://8.8.8.8.8", "http://134744072", "http://0x08080808",
    "http://010.8.8.8", "http://256.1.1.1", "http://1.2.3.4.5", "http://4294967296",
    "http://169.254.169.254/latest/meta-data/", "http://2852039166", "http://0xa9fea9fe", "http://1.0x",
    "http://host.1", "http://host.0x1f", "http://example.com.0", "http://127.0.0.1.", "http://0.0.0.0.",
    "http://[::1]", "http://[::]", "http://[0:0:0:0:0:0:0:1]", "http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:1]",
    "http://[::127.0.0.1]", "http://[64:ff9b::7f00:1]", "http://[fe80::1]", "http://[fd00:ec2::254]",
    "http://[2002:7f00:1::]", "http://[fe80::1%25eth0]", "http://[fe80::1%eth0]", "http://[::1%25lo]",
    "http://[2606:4700::1111%251]", "http://[v1.fe80::a]", "http://[]", "http://[::1", "http://::1]", "http://::1",
    "http://[1.1.1.1]", "http://[::1].example.com", "http://[::1]example.com", "http://[::1]:80:80",
    "http://[::00001]", "http://[::ffff:127.0.0.01]", "http://[example.com]",
    # names of this machine
    "http://localhost", "http://LOCALHOST", "http://localhost.", "http://a.localhost", "http://localhost:8000",
    # characters that become digits, dots or slashes on the way
    "http://１２７.0.0.1", "http://127。0。0。1", "http://127．0．0．1", "http://127｡0｡0｡1", "http://①②⑦.0.0.1",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "http://ｌocalhost", "http://loc\u00adalhost", "http://local\u200bhost", "http://example。com",
    "http://ex\u0430mple\u3002com", "http://\u212aelvin.example", "http://e\u0301x.example",
    "http://example.com\uff0fevil.example", "http://example.com\u2100.example", "http://\u202eexample.com",
    "http://١٢٧.0.0.1", "http://᠐.0.0.1", "http://example.com:８０", "http://example.com:٨٠", "http://\ud800.com",
    "ｈttp://example.com", "http:／／example.com", "http://example．com", "http://ﬁ.example",
    # user names, two readings of an authority
    "http://user@example.com", "http://user:pass@example.com", "http://@example.com", "http://:@example.com",
    "http://example.com@127.0.0.1", "http://127.0.0.1@example.com", "http://a@b@example.com",
    "http://example.com:80@127.0.0.1", "http://example.com%40127.0.0.1", "http://example.com&@127.0.0.1#@x",
    "http://example.com#@127.0.0.1/", "http://example.com/#", "http://example.com/#x", "http://example.com#",
    "http://example.com\\@127.0.0.1", "http://example.com\\.127.0.0.1", "http:\\\\example.com",
    "http://example.com/\\x", "http://example.com/?\\", "http://example.com%5c@127.0.0.1", "http://example.com/%5c",
    "http://example.com/%5C", "http://example.com/?q=%5cx", "http:/\\example.com",
    # percent signs, white space and control characters
    "http://%31%32%37.0.0.1", "http://127%2e0%2e0%2e1", "http://exam%70le.com", "http://example.com%00",
    "http://example.com%2f@127.0.0.1", "http://example.com%0d%0a", "http://%6c%6f%63alhost", "http://%",
    " http://example.com", "http://example.com ", "http://exam ple.com", "http://example.com/a b",
    "http://example.com/\t", "http://exam\tple.com", "ht\ntp://example.com", "http://example.com\r\n",
    "http://example.com/\r\nHost: evil", "http://example.com/\x00", "http://example.com/\x7f",
    "\x01http://example.com", "http://example.com/\u2028", "http://example.com/\u00a0", "http://example.com/\x85",
    "http://example.com/\u200b", "http://example.com/\ufeff", "\ufeffhttp://example.com",
    # schemes and shapes
    "", "http", "http:", "http:/", "http://", "http:///", "http:///example.com", "http:/example.com",
    "http:example.com", "//example.com", "example.com", "/path", "?q", "http//example.com", "://example.com",
    "ftp://example.com", "file:///etc/passwd", "gopher://example.com", "ws://example.com", "data:text/html,x",
    "http+unix://%2fvar%2frun%2fdocker.sock/x", "unix:///var/run/docker.sock", "dict://example.com:11211/",
    "javascript:alert(1)", "http://?q", "http://#", "http://:80", "http://:80/", "http://.", "http://..",
    "url:http://example.com", "view-source:http://example.com", "jar:http://example.com!/",
    # host names
    "http://example.com.", "http://.example.com", "http://example..com", "http://-example.com",
    "http://example-.com", "http://exa_mple.com", "http://exa$mple.com", "http://exa,mple.com", "http://*",
    "http://*.example.com", "http://exa'mple.com", "http://example.com;x", "http://example.com,127.0.0.1",
    "http://(example.com)", "http://{example.com}", "http://a|b", "http://a^b", 'http://"a"', "http://<a>",
    "http://" + "a" * 64 + ".com", "http://" + "a." * 127 + "com", "http://example.com/" + "a" * 2048,
    "http://example.com/" + "é" * 700, "http://a!b", "http://a=b", "http://~", "http://a+b",
    # ports
    "http://example.com:", "http://example.com:/", "http://example.com:0", "http://example.com:080",
    "http://example.com:22", "http://example.com:25", "http://example.com:6379", "http://example.com:65536",
    "http://example.com:99999", "http://example.com:999999", "http://example.com:-1", "http://example.com:+80",
    "http://example.com:8_0", "http://example.com:80:80", "http://example.com:http", "http://example.com:0x50",
    "http://example.com: 80", "http://example.com:80 ", "http://8.8.8.8:81", "https://example.com:4430",
]
# fmt: on
