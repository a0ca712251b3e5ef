package gateway

import (
	"errors"
	"log/slog"
	"strings"
)

// Recipient is the destination in E.164 form: '+', a calling code and the
// number, 7 to 15 digits in all. It masks itself in logs.
type Recipient string

// SenderNumber is the number an account sends from, in E.164 form.
type SenderNumber string

// Reasons why a text is no recipient.
var (
	ErrRecipientForm        = errors.New("must be '+' and 7 to 15 digits")
	ErrRecipientCallingCode = errors.New("must begin with a known calling code")
)

// ParseRecipient checks the form and the calling code. The numbering plan
// behind the calling code isn't consulted: providers know it better, and it
// changes.
func ParseRecipient(s string) (Recipient, error) {
	digits, ok := strings.CutPrefix(s, "+")
	if !ok || len(digits) < 7 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return "", ErrRecipientForm
	}
	if !knownCallingCode(digits) {
		return "", ErrRecipientCallingCode
	}
	return Recipient(s), nil
}

// Digits is the number without its '+', the form several providers use.
func (r Recipient) Digits() string { return strings.TrimPrefix(string(r), "+") }

// Masked shows the calling code's beginning and the last two digits only.
func (r Recipient) Masked() string {
	if len(r) < 7 {
		return "***"
	}
	return string(r[:3]) + strings.Repeat("*", len(r)-5) + string(r[len(r)-2:])
}

// LogValue masks the number: logs carry no personal data.
func (r Recipient) LogValue() slog.Value { return slog.StringValue(r.Masked()) }

// callingCodes are the codes the ITU has assigned (E.164, list of calling
// codes), each between spaces. No code is the beginning of another.
const callingCodes = " 1 7 20 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 " +
	"238 239 240 241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 " +
	"268 269 27 290 291 297 298 299 30 31 32 33 34 350 351 352 353 354 355 356 357 358 359 36 370 371 372 373 374 375 " +
	"376 377 378 379 380 381 382 383 385 386 387 389 39 40 41 420 421 423 43 44 45 46 47 48 49 500 501 502 503 504 505 " +
	"506 507 508 509 51 52 53 54 55 56 57 58 590 591 592 593 594 595 596 597 598 599 60 61 62 63 64 65 66 670 672 673 " +
	"674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 800 808 81 82 84 850 852 853 855 856 86 " +
	"870 878 880 881 882 883 886 888 90 91 92 93 94 95 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 " +
	"977 979 98 992 993 994 995 996 998 "

func knownCallingCode(digits string) bool {
	for n := 1; n <= 3; n++ {
		if strings.Contains(callingCodes, " "+digits[:n]+" ") {
			return true
		}
	}
	return false
}
