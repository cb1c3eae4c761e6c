/* Tables of the Unicode Character Database, as tokenizers and grammars need them. Made by Tests/tools/make_unicode_tables.py. */
#ifndef L2S_UNICODE_DATA_H
#define L2S_UNICODE_DATA_H

#include <stddef.h>
#include <stdint.h>

typedef struct { const uint32_t *start; size_t count; } l2s_unicode_table32;
typedef struct { const uint64_t *start; size_t count; } l2s_unicode_table64;

/* First code point << 5 | general category, where the category changes: Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe
   Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn are 0 to 29. */
l2s_unicode_table32 l2s_unicode_categories(void);
/* First and last code points of the ranges of: Oniguruma's word characters; what `tokenizers`' StripAccents takes for a
   combining mark, its BertNormalizer for a nonspacing one, and its Punctuation for punctuation. */
l2s_unicode_table32 l2s_unicode_word(void);
l2s_unicode_table32 l2s_unicode_mark(void);
l2s_unicode_table32 l2s_unicode_nonspacing(void);
l2s_unicode_table32 l2s_unicode_punctuation(void);
/* Code point << 8 | canonical combining class, ascending, where it is not 0. */
l2s_unicode_table32 l2s_unicode_combining(void);
/* Code point << 32 | place in l2s_unicode_decomposed << 8 | length, ascending: full canonical decompositions, without
   Hangul's; and full compatibility decompositions where they are others. */
l2s_unicode_table64 l2s_unicode_canonical(void);
l2s_unicode_table64 l2s_unicode_compatible(void);
const uint32_t *l2s_unicode_decomposed(void);
/* first << 21 | second, ascending, and what each pair composes to. */
l2s_unicode_table64 l2s_unicode_composition_keys(void);
const uint32_t *l2s_unicode_compositions(void);
/* Scripts by number: their names, their codes of four letters, and first and last code points of their ranges. */
int32_t l2s_unicode_script_count(void);
const char *l2s_unicode_script_name(int32_t script);
const char *l2s_unicode_script_code(int32_t script);
l2s_unicode_table32 l2s_unicode_script(int32_t script);

#endif
