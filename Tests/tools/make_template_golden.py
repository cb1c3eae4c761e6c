"""Writes Tests/fixtures/chat-templates.jsonl.gz: small templates of our own, and what `transformers` renders of them.

Each line below is a template; so is each run of three lines, for white space across lines. A row is {"template", "text"}, text null
where `transformers` raises. Needs transformers and jinja2 (made with 5.24 and 3.1.6): python Tests/tools/make_template_golden.py
"""

from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "chat-templates.jsonl.gz"
MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "yo"}]
NOW = datetime.datetime(2024, 7, 26, 15, 4, 5)
# Names of tokens are those of the model in Tests/python/chat_tools.py.
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
VARIABLES = {'n': None, 'i': 7, 'neg': -7, 'f': 2.5, 't': True, 'e': '', 's': 'Hello World', 'x': '<a href="x">\'é\'&amp;</a>', 'l': [3, 1, 2], 'll': [[1, 'a'], [2, 'b']], 'd': {'b': 1, 'a': [1, 2], 'items': 5, 'A': None}, 'us': [{'name': 'bob', 'age': 3, 'in': {'c': 'Z'}}, {'name': 'Al', 'age': 10, 'in': {'c': 'y'}}, {'name': 'al', 'age': 2, 'in': {'c': 'x'}}], 'ml': 'one\ntwo\r\n\n three\n', 'big': 12345678901234, 'u': 'naïve ΣΑΣ ǆ ß', 'num': '42.7', 'hex': '0x1f', 'ws': ' \t a  b \n'}

# "\\r" stands for a carriage return.
TEMPLATES = r'''{{ n }}|{{ t }}|{{ i }}|{{ f }}|{{ l }}|{{ d }}|{{ us }}
{{ undefined_thing }}|{{ undefined_thing is defined }}|{{ d.zzz }}|{{ d['zzz'] is undefined }}
{{ undefined_thing.x }}
{{ d.zzz.y }}
{{ n.x }}|{{ n['x'] }}|{{ i.x }}|{{ l.x }}|{{ l[10] }}|{{ l['a'] }}|{{ s[100] }}|{{ s.nope }}
{{ 1 + 2 * 3 - 4 / 2 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ 7 % 3 }}|{{ -7 % 3 }}|{{ 7 % -3 }}|{{ 2 ** 10 }}|{{ 2 ** -1 }}|{{ 7.5 // 2 }}|{{ -7.5 % 2 }}
{{ 1/0 }}
{{ 1 % 0 }}
{{ 'a' + 1 }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1] }}
{{ 'ab' * 3 }}|{{ 3 * 'ab' }}|{{ [1] * 2 }}|{{ 'a' * -1 }}|{{ (1,) * 2 }}
{{ l + [4] }}|{{ (1,2) + (3,) }}|{{ l == [3,1,2] }}|{{ [1] == (1,) }}|{{ 1 == 1.0 }}|{{ true == 1 }}|{{ 'a' == "a" }}|{{ {} == {} }}
{{ 1 < 2 < 3 }}|{{ 1 < 3 < 2 }}|{{ 3 > 2 >= 2 }}|{{ 1 == 1 != 2 }}|{{ 'a' < 'b' }}|{{ [1,2] < [1,3] }}|{{ 'a' in s }}|{{ 'World' in s }}|{{ 'zz' not in s }}|{{ 1 in l }}|{{ 'b' in d }}|{{ 5 not in l }}
{{ 1 < 'a' }}
{{ n < 1 }}
{{ 1 in s }}
{{ not t }}|{{ not e }}|{{ not not l }}|{{ t and s }}|{{ e or 'x' }}|{{ n and 1 }}|{{ 0 or none or '' or [] or 'last' }}|{{ not 1 == 2 }}|{{ not (1 == 1) and true }}
{{ 'yes' if t else 'no' }}|{{ 'yes' if e }}|{{ ('a' if e) is undefined }}|{{ 'a' if e else 'b' if n else 'c' }}|{{ 1 if t else 2 if t else 3 }}
{{ -i }}|{{ +i }}|{{ - - i }}|{{ -i|abs }}|{{ -2 ** 2 }}|{{ 2 ** 3 ** 2 }}|{{ -(3) }}|{{ 5 - -3 }}
{{ -s }}
{{ s[0] }}|{{ s[-1] }}|{{ s[1:3] }}|{{ s[::-1] }}|{{ s[:5] }}|{{ s[6:] }}|{{ s[::2] }}|{{ s[-3:-1] }}|{{ l[1:] }}|{{ l[::-1] }}|{{ l[5:2] }}|{{ l[:-1] }}|{{ u[2:4] }}|{{ (1,2,3)[1:] }}
{{ s[1:3:0] }}
{{ d[1:2] }}
{{ n[1:] }}
{{ undefined_thing[1:] }}
{{ s['a':] }}
{{ d.b }}|{{ d['b'] }}|{{ d.a.0 }}|{{ d.a[1] }}|{{ d['items'] }}|{{ d.items is callable }}|{{ d.get('b') }}|{{ d.get('q') }}|{{ d.get('q', 3) }}|{{ d['get'] is callable }}
{{ ''.__class__ }}|{{ ''['__class__'] }}|{{ l.append }}|{{ l.append is defined }}
{{ ''.__class__.__mro__ }}
{{ l.append(1) }}
{{ d.pop('b') }}
{{ d.update({}) }}
{{ foo() }}
{{ i() }}
{{ d.zzz() }}
{{ 1_000 }}|{{ 0x1F }}|{{ 0b101 }}|{{ 0o17 }}|{{ 1.5e3 }}|{{ 1e5 }}|{{ 1.0 }}|{{ 1e16 }}|{{ 1e-5 }}|{{ 0.1 + 0.2 }}|{{ 1.23456789012345678 }}|{{ 100000000000000000.0 }}|{{ 123456789.123 }}|{{ 1e22 }}|{{ 5e-324 }}|{{ 1.7976931348623157e308 }}|{{ -0.0 }}|{{ 1e400 }}|{{ -1e400 }}
{{ 9223372036854775807 }}|{{ -9223372036854775807 }}
{{ "a\n\t\x41\u00e9\'\"\\b\q" }}|{{ 'a' 'b' "c" }}|{{ 'é' }}|{{ '\U0001F389' }}|{{ '\101' }}
{{ [1, 2.0, 'a', none, true, [], {}, (), (1,), "it's", 'q"q', "b\\s\n\té\x01"] }}
{{ {'a': 1, 2: 'b', none: [1], 1.5: 2, true: 3} }}
{{ ("a\u200b\u00a0\ud7ff\ue000🎉",) }}
{{ {'a': 1, 'a': 2} }}|{{ {1: 'a', 1.0: 'b', true: 'c'} }}
{{ {[]: 1} }}
{{ (1,) }}|{{ () }}|{{ 1, 2 }}|{{ (1, 2,) }}|{{ [1,2,] }}|{{ {'a':1,} }}
{% if i > 5 %}big{% elif i > 2 %}mid{% else %}small{% endif %}|{% if e %}x{% elif t %}y{% endif %}|{% if n %}a{% endif %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a','b') }}{{ loop.changed(x > 1) }};{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}|{% for k in d %}{{ k }}{% endfor %}|{% for v in d.values() %}{{ v }}{% endfor %}|{% for a, b in ll %}{{ a }}{{ b }}{% endfor %}|{% for c in 'añb' %}{{ c }}.{% endfor %}
{% for x in [] %}a{% else %}empty{% endfor %}|{% for x in l if x > 5 %}{{ x }}{% else %}none{% endfor %}|{% for x in undefined_thing %}a{% else %}undef{% endfor %}
{% for x in l if x > 1 %}{{ x }}{{ loop.index }}{{ loop.length }}{{ loop.last }}{{ loop.nextitem }}{{ loop.revindex }};{% endfor %}
{% for x in l if x != 1 %}{{ x }}{{ loop.last }}{{ loop.nextitem is defined }};{% endfor %}|{{ x }}
{% for x in i %}{% endfor %}
{% for x in n %}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for a, b in [[1,2,3]] %}{% endfor %}
{% for x in range(10) %}{% if x == 3 %}{% continue %}{% endif %}{% if x == 6 %}{% break %}{% endif %}{{ x }}{% endfor %}|{% for x in range(3) %}{% for y in range(3) %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}
{% for x in range(2, 10, 3) %}{{ x }},{% endfor %}|{{ range(5)|list }}|{{ range(5, 0, -2)|list }}|{{ range(3) }}|{{ range(0) == range(1,1) }}|{{ 3 in range(5) }}|{{ range(5)[2] }}|{{ range(5)|length }}|{{ range(4)|last }}|{{ range(1,4)|sum }}
{{ range(1000000) }}
{{ range(1, 2, 0) }}
{% set x = 1 %}{% for y in l %}{% set x = y %}{{ x }}{% endfor %}{{ x }}|{% set ns = namespace(x=0, y='a') %}{% for y in l %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z }}|{{ ns }}
{% for y in l %}{% if y == 1 %}{% set q = y %}{% endif %}{{ q }}{% endfor %}|{{ q }}
{% if t %}{% set q = 5 %}{% endif %}{{ q }}|{% if e %}{% set w = 5 %}{% endif %}{{ w is defined }}
{% macro m(a, b=2, c=b) %}{{ a }}{{ b }}{{ c }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(1, c=9) }}|{{ m(1,2,3,4,5) }}|{{ m(1, z=3) }}|{{ m() }}|{{ m.name }}{{ m.arguments }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro m(a, b='x') %}{{ a is defined }}{{ b }}{% endmacro %}{{ m() }}|{{ m(undefined_thing) }}|{{ m(b=undefined_thing) }}
{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}
{% macro outer() %}{% set z = 5 %}{% macro inner() %}{{ z }}{% endmacro %}{{ inner() }}{% set z = 6 %}{{ inner() }}{% endmacro %}{{ outer() }}
{% macro g() %}{{ later }}{% endmacro %}{{ g() }}{% set later = 3 %}{{ g() }}
{% macro g() %}[{{ i }}]{% endmacro %}{{ g() }}{% set i = 3 %}{{ g() }}{{ i }}
{% for x in l %}{{ i }}{% endfor %}{% set i = 9 %}{{ i }}
{{ i }}{% set i = 9 %}{{ i }}{% for x in [1] %}{{ i }}{% set i = 10 %}{{ i }}{% endfor %}{{ i }}
{% call(a, b=2) m2(1) %}{{ a }}{{ b }}{% endcall %}{% macro m2(x) %}<{{ caller(x) }}{{ caller(x, 5) }}>{% endmacro %}
{% macro m2(x) %}<{{ caller(x) }}{{ caller(x, 5) }}>{% endmacro %}{% call(a, b=2) m2(1) %}{{ a }}{{ b }}{{ i }}{% endcall %}
{% macro m3() %}{{ caller() if caller is defined else 'none' }}{% endmacro %}{{ m3() }}|{% call m3() %}body{% endcall %}
{% macro m4() %}x{% endmacro %}{% call m4() %}body{% endcall %}
{% set a %}text {{ i }}{% endset %}{{ a }}|{% set a | upper %}text {{ i }}{% endset %}{{ a }}|{% set a, b = 1, 2 %}{{ a }}{{ b }}|{% set (a, b) = ll[0] %}{{ a }}{{ b }}|{% set a = b = 3 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}|{% set (a, (b, c)) = (1, (2, 3)) %}{{ a }}{{ b }}{{ c }}|{% set a = 1, 2 %}{{ a }}
{% set ns = namespace({'q': 1}, r=2) %}{{ ns.q }}{{ ns.r }}{% set ns.q = 'z' %}{{ ns['q'] }}{% set ns.x %}blk{% endset %}{{ ns.x }}
{% set d.x = 1 %}
{% set ns = namespace(_a=1) %}
{% set ns = namespace() %}{% set ns._a = 1 %}
{% with a = 1, b = i %}{{ a }}{{ b }}{% endwith %}{{ a }}|{% with %}{% set z = 3 %}{{ z }}{% endwith %}{{ z }}
{% filter upper %}abc {{ s }}{% endfilter %}|{% filter replace('a', 'b') | upper %}aaa{% endfilter %}|{% filter indent(2) %}a
b{% endfilter %}
{% generation %}gen {{ s }}{% set gg = 1 %}{% endgeneration %}{{ gg }}
{% print 1, 2 %}|{% raw %}{{ x }}{% if %}{% endraw %}|{# comment #}|{#- c -#} x
  {%- if t %}  a  {% endif -%}  b  {{- s -}}  c  {%+ if t +%} d {% endif %}
e
   {% if t %}
line
   {% endif %}
end {# x #}
   {# y #}
z
{% raw -%}  a  {%- endraw %} b
{% if t %}
	a
{% endif %}
b

a{{ '\n' }}{% if t %}
b{% endif %}

c

{{ s|upper }}{{ s|lower }}{{ s|title }}{{ s|capitalize }}|{{ u|upper }}|{{ u|lower }}|{{ u|title }}|{{ u.title() }}|{{ u|capitalize }}|{{ u.swapcase() }}|{{ u.casefold() }}
{{ ws|trim }}.{{ ws.strip() }}.{{ ws.lstrip() }}.{{ ws.rstrip() }}.{{ 'xxaxx'|trim('x') }}.{{ 'xyaxy'.strip('xy') }}.{{ 'xya'.lstrip('x') }}.{{ none|trim }}.{{ 5|trim }}
{{ s|replace('o', '0') }}|{{ s|replace('l', 'L', 2) }}|{{ s.replace('l', 'L', 1) }}|{{ 'abc'.replace('', '-') }}|{{ 'aaa'|replace('aa', 'b') }}|{{ 5|replace(5, 6) }}|{{ none|replace('N','n') }}
{{ s|length }}|{{ l|length }}|{{ d|length }}|{{ u|length }}|{{ undefined_thing|length }}|{{ s|count }}
{{ i|length }}
{{ l|map('string')|length }}
{{ l|first }}|{{ l|last }}|{{ []|first }}|{{ s|first }}|{{ s|last }}|{{ ''|first is undefined }}|{{ d|first }}|{{ l|min }}|{{ l|max }}|{{ []|min }}|{{ l|sum }}|{{ us|sum(attribute='age') }}|{{ us|sum('age', 100) }}|{{ l|sum(start=10) }}|{{ us|max(attribute='age') }}|{{ ['b','A']|min }}|{{ ['b','A']|min(true) }}
{{ l|join }}|{{ l|join(', ') }}|{{ us|join('-', attribute='name') }}|{{ ['a', 1, none, undefined_thing]|join(',') }}|{{ 'abc'|join('.') }}|{{ d|join(',') }}|{{ us|join('+', 'in.c') }}
{{ l|sort }}|{{ l|sort(reverse=true) }}|{{ us|sort(attribute='name')|map(attribute='name')|list }}|{{ us|sort(attribute='name', case_sensitive=true)|map(attribute='name')|list }}|{{ us|sort(attribute='in.c')|map(attribute='age')|list }}|{{ ['b','A','a','B']|sort }}|{{ us|sort(attribute='name,age')|map(attribute='age')|list }}|{{ us|sort(true, attribute='age')|map(attribute='age')|list }}
{{ [1,'a']|sort }}
{{ l|list }}|{{ s|list }}|{{ d|list }}|{{ d.items()|list }}|{{ d|items|list }}|{{ undefined_thing|items|list }}|{{ undefined_thing|list }}|{{ d.keys()|list }}|{{ d.values()|list }}|{{ d.items() }}|{{ d.keys() }}|{{ (1,2)|list }}
{{ n|list }}
{{ d|dictsort }}|{{ {'b':1,'A':2,'c':0}|dictsort }}|{{ {'b':1,'A':2}|dictsort(true) }}|{{ {'b':1,'A':2,'c':0}|dictsort(by='value') }}|{{ {'b':1,'A':2}|dictsort(reverse=true) }}
{{ l|map('string')|join('+') }}|{{ us|map(attribute='name')|list }}|{{ us|map(attribute='zz', default='D')|list }}|{{ us|map(attribute='in.c')|join }}|{{ ['a','b']|map('upper')|list }}|{{ ['1','x']|map('int', 5)|list }}|{{ [[1],[2,3]]|map('length')|list }}|{{ ll|map('first')|list }}|{{ ll|map(attribute=1)|list }}
{{ l|select('odd')|list }}|{{ l|reject('odd')|list }}|{{ [0,1,'',none,'a']|select|list }}|{{ [0,1,'',none]|reject|list }}|{{ us|selectattr('age', 'gt', 2)|map(attribute='name')|list }}|{{ us|rejectattr('age','eq',3)|list|length }}|{{ us|selectattr('name')|list|length }}|{{ us|selectattr('name','in',['bob','al'])|map(attribute='age')|list }}|{{ l|select('>', 1)|list }}|{{ us|selectattr('in.c', 'equalto', 'y')|list }}|{{ us|selectattr('zz','defined')|list }}|{{ l|reject('in',[1])|list }}
{% if [0]|select %}gen true{% endif %}|{% set g = l|map('string') %}{{ g|list }}{{ g|list }}
{{ l|unique|list }}|{{ ['a','A','b',1,1.0,true]|unique|list }}|{{ ['a','A','b']|unique(true)|list }}|{{ us|unique(attribute='name')|map(attribute='age')|list }}
{{ us|groupby('name') }}|{% for g in us|groupby('name') %}{{ g[0] }}:{{ g[1]|length }};{% endfor %}|{% for k, v in us|groupby('age', case_sensitive=true) %}{{ k }}{% endfor %}|{{ us|groupby('zz', default='q')|length }}
{{ [1,2,3,4,5]|batch(2)|list }}|{{ [1,2,3]|batch(2, 'x')|list }}|{{ [1,2,3,4,5]|slice(2)|list }}|{{ [1,2,3,4,5]|slice(3, 'f')|list }}
{{ l|reverse|list }}|{{ s|reverse }}|{{ (1,2)|reverse|list }}|{{ d|reverse|list }}
{{ undefined_thing|default('d') }}|{{ e|default('d') }}|{{ e|default('d', true) }}|{{ n|default('d') }}|{{ n|d('q', boolean=true) }}|{{ d.zz|default }}|{{ 0|default(default_value=3, boolean=true) }}
{{ '3'|int }}|{{ 'x'|int }}|{{ 'x'|int(9) }}|{{ num|int }}|{{ hex|int(base=16) }}|{{ hex|int }}|{{ f|int }}|{{ -2.7|int }}|{{ ' 12 '|int }}|{{ '1_0'|int }}|{{ none|int }}|{{ true|int }}|{{ '0b11'|int(0, 2) }}|{{ '1e3'|int }}|{{ [] | int(3) }}
{{ undefined_thing|int }}
{{ '3.5'|float }}|{{ 'x'|float }}|{{ 'x'|float(1.5) }}|{{ 3|float }}|{{ 'inf'|float }}|{{ 'nan'|float }}|{{ ' 1e5 '|float }}|{{ '.5'|float }}|{{ '5.'|float }}|{{ none|float }}
{{ 2.675|round(2) }}|{{ 2.5|round }}|{{ 3.5|round }}|{{ -2.5|round }}|{{ 2.1|round(0,'ceil') }}|{{ 2.9|round(method='floor') }}|{{ 7|round }}|{{ 1234.567|round(-2) }}|{{ 15|round(-1) }}|{{ 25|round(-1) }}|{{ 2.123|round(1,'ceil') }}
{{ -3|abs }}|{{ -3.5|abs }}|{{ i|string + 'x' }}|{{ i|string|length }}|{{ none|string }}|{{ undefined_thing|string }}|{{ l|string }}
{{ s|center(20) }}|{{ s.center(20, '*') }}|{{ s.ljust(15, '.') }}|{{ s.rjust(15) }}|{{ '-5'.zfill(5) }}|{{ 'ab'.center(5) }}|{{ 'abc'.center(6) }}
{{ ml|indent }}|{{ ml|indent(2) }}|{{ ml|indent(2, true) }}|{{ ml|indent(2, blank=true) }}|{{ ml|indent('> ', first=true) }}|{{ 'a'|indent }}
{{ 'foo bar baz qux'|truncate(9) }}|{{ 'foo bar baz qux'|truncate(9, true) }}|{{ 'foo bar baz qux'|truncate(11) }}|{{ 'foo bar baz qux'|truncate(11, false, '..', 0) }}
{{ s|wordcount }}|{{ 'a-b c_d 1é'|wordcount }}|{{ 'a b/c?&é'|urlencode }}|{{ {'a b':'c/d','e':1}|urlencode }}|{{ [('a','b')]|urlencode }}
{{ x|escape }}|{{ x|e }}|{{ x|safe }}|{{ x|forceescape }}|{{ x|e|e }}|{{ 'a'|safe + '<' }}|{{ ('a'|safe) ~ '<' }}|{{ '<' + ('a'|safe) }}|{{ ('%s'|safe)|format('<') }}|{{ 'x'|safe is escaped }}|{{ ['a'|safe] }}|{{ ('a'|safe).replace('a','<') }}|{{ ('a<'|safe)|upper }}
{{ '%s-%d-%5.2f|%-5s|%05d|%x|%X|%o|%e|%g|%%|%r|%c|%+d|% d|%3s|%.2s'|format('a', 3, 2.5, 'b', 42, 255, 255, 8, 12345.678, 0.0001, 'q', 'z', 5, 5, 'a', 'abcdef') }}
{{ '%(a)s %(b)03d'|format(a=1, b=2) }}|{{ '%s' % 'x' }}|{{ '%s %s' % (1, 2) }}|{{ '%s' % [1] }}|{{ '%(k)s' % {'k': 5} }}|{{ '%d' % 3.9 }}|{{ '%s' % none }}|{{ '%s' % undefined_thing }}|{{ '%g %g %g' % (1e10, 1.5, 100000.0) }}|{{ '%.3g' % 1234.5 }}|{{ '%5.1f' % 3.14159 }}|{{ '%i' % true }}
{{ '%d' % 'a' }}
{{ '%s %s' % 1 }}
{{ '%s' % (1, 2) }}
{{ '{} {}'.format(1, 'a') }}|{{ '{0}{1}{0}'.format('a','b') }}|{{ '{x}{y!r}'.format(x=1, y='q') }}|{{ '{:>5}|{:<5}|{:^5}|{:*^7}|{:05d}|{:+d}|{:,}|{:.2f}|{:x}|{:#x}|{:b}|{:e}|{:.1%}|{:5}|{:_}'.format('a','b','c','d',42,5,1234567,3.14159,255,255,5,12345.6789,0.256,7,1000000) }}|{{ '{{}}'.format() }}|{{ '{0[a]}{1.name}'.format({'a':1}, us[0]) }}|{{ '{:d}'.format(3) }}|{{ '{:010.3f}'.format(-3.14159) }}|{{ '{:s}'.format('x') }}|{{ '{:,.2f}'.format(1234567.891) }}|{{ '{!s:>4}'.format(1) }}
{{ '{}'.format() }}
{{ '{:d}'.format('a') }}
{{ s.split() }}|{{ s.split('o') }}|{{ s.split('o', 1) }}|{{ s.rsplit('o', 1) }}|{{ ' a  b '.split() }}|{{ ' a  b c '.split(none, 1) }}|{{ ' a  b c '.rsplit(none, 1) }}|{{ ''.split() }}|{{ ''.split(',') }}|{{ 'a,b,,c'.split(',') }}|{{ ml.splitlines() }}|{{ ml.splitlines(true) }}|{{ 'a,b'.split(sep=',', maxsplit=1) }}|{{ 'a b c'.split(maxsplit=1) }}
{{ s.split('') }}
{{ s.startswith('He') }}|{{ s.endswith(('x','ld')) }}|{{ s.startswith('l', 2) }}|{{ s.find('o') }}|{{ s.rfind('o') }}|{{ s.find('zz') }}|{{ s.index('W') }}|{{ s.count('l') }}|{{ 'aaa'.count('') }}|{{ s.find('o', 5) }}|{{ u.find('Σ') }}|{{ s.partition(' ') }}|{{ s.rpartition('o') }}|{{ s.partition('z') }}|{{ s.removeprefix('Hell') }}|{{ s.removesuffix('ld') }}
{{ s.index('zz') }}
{{ s.startswith(1) }}
{{ ','.join(['a','b']) }}|{{ ','.join(d) }}|{{ 'abc'.isalpha() }}{{ 'a1'.isalnum() }}{{ '12'.isdigit() }}{{ ' '.isspace() }}{{ 'ab'.islower() }}{{ 'AB'.isupper() }}{{ ''.isalpha() }}{{ 'Ab Cd'.istitle() }}{{ 'é'.isascii() }}{{ '½'.isnumeric() }}{{ 'a_b'.isidentifier() }}
{{ ','.join([1]) }}
{{ l.index(1) }}{{ l.count(3) }}{{ (1,2).index(2) }}{{ l.copy() }}{{ d.copy() }}
{{ dict(a=1, b=2) }}|{{ dict([['x', 1]]) }}|{{ dict({'q': 1}, r=2) }}|{{ dict() }}
{{ i is odd }}{{ i is even }}{{ i is divisibleby 7 }}{{ i is divisibleby(2) }}{{ i is number }}{{ s is string }}{{ l is sequence }}{{ l is iterable }}{{ d is mapping }}{{ n is none }}{{ t is boolean }}{{ t is true }}{{ t is false }}{{ i is integer }}{{ f is float }}{{ s is lower }}{{ 'A' is upper }}{{ d is sequence }}{{ s is iterable }}{{ i is iterable }}{{ range is callable }}{{ t is number }}{{ t is integer }}{{ undefined_thing is iterable }}{{ undefined_thing is sequence }}{{ undefined_thing is none }}{{ d.items() is sequence }}
{{ i is eq 7 }}{{ i is gt(5) }}{{ i is lt 5 }}{{ 'a' is in ['a'] }}{{ i is not none }}{{ i is not eq 7 }}{{ i is sameas t }}{{ t is sameas true }}{{ 'upper' is filter }}{{ 'nope' is filter }}{{ 'odd' is test }}{{ not i is odd }}{{ i is ne(3) }}{{ i is ge(7) }}{{ i is le 7 }}{{ i is equalto 7 }}
{{ s|nofilter }}
{% if e %}{{ s|nofilter }}{% endif %}fine
{{ (s|nofilter) if e else 'ok' }}
{% if t %}{{ s|nofilter }}{% endif %}
{% for x in [] %}{{ x|nofilter }}{% endfor %}
{{ s is notest }}
{{ d|tojson }}|{{ d|tojson(indent=2) }}|{{ x|tojson }}|{{ u|tojson(ensure_ascii=true) }}|{{ {'b':1,'a':2}|tojson(sort_keys=true) }}|{{ [1.0,1e20,none,true,'\n\x01\x7f']|tojson }}|{{ {1:2,none:3,true:4,1.5:0}|tojson }}|{{ []|tojson(indent=4) }}{{ {}|tojson }}|{{ l|tojson(separators=(',',':')) }}|{{ '🎉'|tojson(ensure_ascii=true) }}|{{ us|tojson(indent='--') }}|{{ (1,2)|tojson }}|{{ d|tojson(indent=0) }}
{{ undefined_thing|tojson }}
{{ range(3)|tojson }}
{{ [undefined_thing]|tojson }}
{{ raise_exception('no ' ~ s) }}
{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%A %B %-d %H:%M:%S %p %j %I %y %% %a %e %F %T %U %W %V %u %w %G') }}
{% set c = cycler('a','b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.current }}|{% set j = joiner(', ') %}{{ j() }}a{{ j() }}b{{ j() }}
{% for x in [1,[2,[3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}d{{ loop.depth }}{% endif %}{% endfor %}
{% for x in ll %}{% set outer = loop %}{% for y in x %}{{ outer.index }}{{ loop.index }}{{ y }} {% endfor %}{% endfor %}|{{ loop is defined }}
{% for x in l %}{% for y in l if y != x %}{{ y }}{{ loop.last }}{% endfor %};{{ loop.last }}{% endfor %}
{% set ns = namespace(c=0) %}{% for x in range(5) if ns.c < 3 %}{% set ns.c = ns.c + 1 %}{{ x }}{% endfor %}
{{ messages|length }}{{ tools }}{{ documents }}{{ add_generation_prompt }}{{ bos_token }}{{ eos_token }}
{{ loop.index }}
{% for loop in l %}{% endfor %}
{% set true = 1 %}
{% break %}
{% if x %}
{% endif %}
{{ }}
{{ 1 + }}
{{ (1 }}
{{ 1) }}
{{ 'abc }}
{{ a b }}
{% unknown %}
{% for %}
{% include 'x' %}
{{ $ }}
{# unclosed
{% raw %} unclosed
{{ {'a' 1} }}
{{ f(a=1, 2) }}
{{ 1 is defined is true }}
{% macro m(a=1, b) %}{% endmacro %}
{% call s %}{% endcall %}
{{ namespace(a=1).a }}{{ (namespace()).x is undefined }}
{{ [l, d][0] }}{{ {'a': {'b': [1, {'c': 'deep'}]}}.a.b[1].c }}{{ ("a","b")[1] }}{{ "abc"[1] }}{{ [1,2,3][-1] }}{{ [[1,2],[3]][0][1] }}
{{ (us|selectattr('name','equalto','bob')|first).age }}{{ us[0]['in']['c'] }}{{ us[-1].name }}{{ (l|sort)[0] }}{{ s.split(' ')[-1].upper()[::-1] }}
{{ 'a' if true }}{{ 'b' if false }}{{ [1 if t else 2, 3] }}{{ {'k': 1 if e else 2} }}{{ (1 if e else 2) + 3 }}{{ m5(1 if t else 2) if m5 is defined else 'nope' }}
{%- set x %}  padded  {% endset -%}   [{{ x }}]  {%- if true -%}   tight   {%- endif -%}  .
{%- for x in l -%}
  {{ x }}
{%- endfor %}
{% for x in l -%}
  {{ x }}
{% endfor %}
tail
    {%- if t %}

  a
    {%- else %}
  b
    {% endif %}
c
<div>
    {% for x in l %}
        <p>{{ x }}</p>
    {% endfor %}
</div>
{% set _ = 1 %}{{ _ }}{% set a1_b = 2 %}{{ a1_b }}{% set é = 3 %}{{ é }}
{{ f is float and i is integer or false }}{{ i in [7] and s }}{{ not i in [7] }}{{ i not in [7] or 'x' }}{{ 'a' ~ 'b' * 2 }}{{ 1 ~ 2 + 3 }}{{ 2 + 3 ~ 4 }}{{ 'x' if 1 in l and not n else 'y' }}
{{ l is sequence and l is not string }}{{ l is not mapping and l|length > 1 }}{{ (l|length) is gt 2 }}{{ s is string and s|length }}{{ d.b is defined and d.b == 1 }}
{{ [1,2,3]|join(', ')|upper|replace('2','two')|length }}{{ 'abc'|list|reverse|join('') }}{{ ('a','b')|join }}
{{ caller is defined }}{{ kwargs is defined }}{{ varargs is defined }}
{% macro m6() %}{% for x in l %}{{ x }}{% if loop.last %}!{% endif %}{% endfor %}{% endmacro %}{{ m6() }}{{ m6()|length }}{% set r = m6() %}{{ r|upper }}
{% macro m7(x) %}{{ x }}{% endmacro %}{{ us|map(attribute='name')|map('upper')|join(m7(', ')) }}
{{ m8 }}{% macro m8() %}{% endmacro %}{{ m8 }}
{{ 'a\
b' }}
{{ "tab	and
newline" }}
{{ [1,
2] }}{# multi
line #}{{
i
}}
{{ ''.join(['a']) }}{{ ('x').upper() }}
{{ -7 // 2 }}{{ -7 % 2 }}{{ 7 // -2 }}{{ 0 // 5 }}{{ 2.0 // 0.3 }}{{ 2.0 % 0.3 }}{{ 1e308 * 10 }}{{ 3 * 1.1 }}{{ 10 / 2 }}{{ 10 / 4 }}{{ 2 ** 0.5 if e else 1 }}{{ 0.1 * 3 }}{{ 1.1 + 2.2 }}{{ true + true }}{{ 5 - 2.0 }}
{{ 1000000 * 1000000 }}{{ big * 1000 }}{{ big / 7 }}{{ 3.0 == 3 }}{{ 1e3 }}{{ 12345.0 }}{{ 0.00001 }}{{ 1.0e-10 }}
{{ x.y.z if x.y else 'fallback' }}{{ (d.q or {}).r }}{{ (d.q or {}).get('r', 'dflt') }}{{ d.q|default({}) }}
{% set l2 = l + [9] %}{% set l2 = l2 + [l2|length] %}{{ l2 }}{% set d2 = dict(d, zz=1) %}{{ d2.zz }}
{% for m in messages %}{{ m['role'] }}:{{ m.content }}{{ m.role == 'user' }}{{ m.get('x') }}{% endfor %}
{{ ns_undefined.x = 1 }}
{{ d|attr('b') is defined }}{{ us[0]|attr('name') is undefined }}{{ 'abc'|attr('nope') is undefined }}
{{ 1024|filesizeformat }}{{ 1500000|filesizeformat }}{{ 1500000|filesizeformat(true) }}{{ 1|filesizeformat }}{{ 10|filesizeformat }}
{{ 3|default(4)|string ~ '!' }}{{ [none, 1]|map('default', 'x', true)|list }}{{ ['a','b']|map('replace', 'a', 'z')|list }}{{ [3,1]|sort|first }}{{ ['x']|map('center', 5)|list }}
{{ (1, 'a') < (1, 'b') }}{{ [] < [1] }}{{ 'B' < 'a' }}{{ 'é' > 'z' }}{{ true < 2 }}{{ 1 <= 1.0 }}{{ 9007199254740993 == 9007199254740992.0 }}
{{ [1] in [[1]] }}{{ 'x' in undefined_thing }}{{ none in [none] }}{{ 1.0 in l }}{{ 'a' in {'a': 1} }}{{ '' in 'abc' }}{{ [] in {} if e else 'u' }}
{{ [] in {} }}
{{ ~ }}
{{ 1 if }}
{{ 0777 }}
{{ 1.e5 }}
{{ .5 }}
{{ 1..real }}
{{ a.b.1.c is undefined }}
{%set x=1%}{{x}}{%if x%}y{%endif%}{{-x-}}{{+x}}
{{ "{{ nested }}" }}{{ '{% x %}' }}{{ "#}" }}{{ '%}' }}{{ {'a':{'b':1}}['a']['b'] }}{{ {'a': {}} }}
{% for q in l %}{{ q }}{% break %}{% else %}E{% endfor %}|{% for q in l %}{% continue %}{% else %}E{% endfor %}|{% for q in l %}{{ q }}{% if q == 1 %}{% break %}{% endif %}{% else %}E{% endfor %}|{% for q in l %}{% if q != 2 %}{% continue %}{% endif %}{{ q }}{% else %}E{% endfor %}
{% for q in l %}{% for r in [1, 2] %}{% break %}{% else %}{% break %}{% endfor %}{{ q }}{% else %}E{% endfor %}|{% for q in l if q > 9 %}{{ q }}{% else %}E{% endfor %}|{% for q in l recursive %}{% break %}{% else %}E{% endfor %}
{{ ' a  b c \n'.split(none, 2) }}|{{ ' a  b c '.split(none, 3) }}|{{ ' a '.split(none, 0) }}|{{ ' a  b c '.rsplit(none, 2) }}|{{ ' a b '.rsplit(none, 1) }}|{{ '  '.split(none, 0) }}|{{ ' a '.rsplit(none, 0) }}
{{ 'a\tb\tccc\n\td\té\tx'.expandtabs() }}|{{ '\ta\t'.expandtabs(4) }}|{{ 'a\tb'.expandtabs(0) }}|{{ 'a\tb'.expandtabs(tabsize=2) }}|{{ 'a\tb'.expandtabs(-1) }}
{{ '{!a}'.format('naïve 🎉\n') }}|{{ '{!a:>12}'.format('é') }}|{{ '%a' % ('日本',) }}|{{ '{!a}'.format(l) }}
{{ '{:.3}'.format(2.0) }}|{{ '{:.1}'.format(25.0) }}|{{ '{:.5}'.format(12345.678) }}|{{ '{:.5}'.format(1234.5678) }}|{{ '{:10.3}'.format(-0.0) }}|{{ '{:.3}'.format(0.00001) }}|{{ '{:,.8}'.format(123456.5) }}|{{ '{:#.3}'.format(1.0) }}|{{ '{:n}'.format(1234567) }}|{{ '{:n}'.format(1234567.0) }}|{{ '{:.1}'.format(5.0) }}|{{ '{:.0}'.format(0.0) }}
{{ '{0[0]}{}'.format('ab') }}|{{ '{}{0[0]}{}'.format('ab', 'c') }}
{{ '{.real}'.format(3) }}
{{ '%5%' % () }}
{{ '% %' % (1,) }}
{{ '%*%' % (1, 2) }}
{{ '%*d|%-*d|%0*d|%.*f|%.*f' % (5, 1, -5, 2, 4, 3, 1, 2.55, -1, 2.5) }}|{{ '%0*d|' % (-4, 3) }}|{{ '%%' % undefined_thing }}
{{ us|sort(attribute='zzz')|map(attribute='name')|join }}|{{ [none, none]|sort }}|{{ [{}, {}]|sort }}|{{ us|sort(attribute='in.c,zzz')|map(attribute='name')|join }}
{{ [none, 1]|sort }}
{{ l|truncate }}|{{ undefined_thing|truncate(9) }}|{{ d|truncate(4, leeway=0) }}
{{ l|truncate(2, leeway=0, end='') }}
{{ l.count(1, 2) }}
{{ -202755356627174|round(3, 'ceil') }}|{{ 9007199254740993|round(2, 'floor') }}|{{ 29|round(-1, 'ceil') }}|{{ 2900|round(-2, 'floor') }}|{{ 57.3|round(-1, 'floor') }}|{{ 1150|round(-2, 'ceil') }}|{{ 2.675|round(2, 'ceil') }}
{{ 450.00000000000006|round(-2) }}|{{ 450.0|round(-2) }}|{{ 550.0|round(-2) }}|{{ -999.5|round(-1) }}|{{ 49.9|round(-2) }}|{{ -49.9|round(-2) }}|{{ 50.0|round(-2) }}|{{ 50.1|round(-2) }}|{{ 1.2345e25|round(-20) }}|{{ 95.0|round(-1) }}|{{ 0.4|round(-1) }}
{{ 1e400|round(0, 'ceil') }}
{{ 1e300|round(20, 'floor') }}
{{ 1e400|round(-1) }}|{{ 0.0|round(-3) }}
'''


def templates() -> list[str]:
    """Each once."""
    lines = TEMPLATES.replace("\\r", "\r").split("\n")
    return list(dict.fromkeys([*lines, *("\n".join(lines[i : i + 3]) for i in range(len(lines) - 2))]))


def main() -> None:
    from transformers.utils import chat_template_utils as utils

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return NOW

    utils.datetime = Clock
    rows = []
    for template in templates():
        try:
            text = utils.render_jinja_template([json.loads(json.dumps(MESSAGES))], chat_template=template, add_generation_prompt=True, **TOKENS, **VARIABLES)[0][0]
        except Exception:  # any of jinja2's and Python's
            text = None
        rows.append(json.dumps({"template": template, "text": text}, ensure_ascii=False))
    with open(FIXTURE, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        file.write("\n".join(rows).encode())


if __name__ == "__main__":
    main()
