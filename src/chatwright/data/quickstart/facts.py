"""What the assistant knows of the world: capitals, opposites, colours, voices, legs, and what comes after what.

Each fact is stated in the text that the model is pretrained on. Chats ask for most of them, in most ways; what is held
out is a way to ask for a fact, or a fact altogether, which then only the text teaches.
"""

from dataclasses import dataclass
from random import Random

from chatwright.data.quickstart.exchange import Exchange
from chatwright.data.quickstart.words import Language, Word

Templates = dict[Language, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Relation:
    """Facts of one kind.

    Attributes:
        name: of the relation.
        facts: subject → object: Norway, Oslo.
        answer: the sentence that answers, with ``{s}`` and ``{o}``.
        questions: ways to ask for the object.
        statements: further sentences that say the same, for running text.
    """

    name: str
    facts: tuple[tuple[Word, Word], ...]
    answer: dict[Language, str]
    questions: Templates
    statements: Templates

    def say(self, template: str, subject: Word, object_: Word, language: Language) -> str:
        """Fill a template; an English sentence starts with a capital."""
        text = template.format(s=subject.in_(language), o=object_.in_(language))
        return text[0].upper() + text[1:] if language == "en" else text


def _facts(*lines: str) -> tuple[tuple[Word, Word], ...]:
    """``subject|object|主语|宾语``, one a line."""
    found = []
    for line in lines:
        subject, object_, subject_zh, object_zh = line.split("|")
        found.append((Word(subject, subject_zh), Word(object_, object_zh)))
    return tuple(found)


def _following(english: str, chinese: str) -> tuple[tuple[Word, Word], ...]:
    """Each word of a circle, with the one after it."""
    words = [Word(*pair) for pair in zip(english.split(), chinese.split(), strict=True)]
    return tuple(zip(words, words[1:] + words[:1], strict=True))


CAPITALS = Relation(
    "capital",
    _facts(
        "China|Beijing|中国|北京",
        "France|Paris|法国|巴黎",
        "Japan|Tokyo|日本|东京",
        "Italy|Rome|意大利|罗马",
        "Germany|Berlin|德国|柏林",
        "Spain|Madrid|西班牙|马德里",
        "the United Kingdom|London|英国|伦敦",
        "Russia|Moscow|俄罗斯|莫斯科",
        "Egypt|Cairo|埃及|开罗",
        "Greece|Athens|希腊|雅典",
        "Canada|Ottawa|加拿大|渥太华",
        "Australia|Canberra|澳大利亚|堪培拉",
        "India|New Delhi|印度|新德里",
        "Thailand|Bangkok|泰国|曼谷",
        "Vietnam|Hanoi|越南|河内",
        "South Korea|Seoul|韩国|首尔",
        "Mexico|Mexico City|墨西哥|墨西哥城",
        "Cuba|Havana|古巴|哈瓦那",
        "Peru|Lima|秘鲁|利马",
        "Chile|Santiago|智利|圣地亚哥",
        "Argentina|Buenos Aires|阿根廷|布宜诺斯艾利斯",
        "Brazil|Brasília|巴西|巴西利亚",
        "Norway|Oslo|挪威|奥斯陆",
        "Sweden|Stockholm|瑞典|斯德哥尔摩",
        "Finland|Helsinki|芬兰|赫尔辛基",
        "Denmark|Copenhagen|丹麦|哥本哈根",
        "Poland|Warsaw|波兰|华沙",
        "Austria|Vienna|奥地利|维也纳",
        "Portugal|Lisbon|葡萄牙|里斯本",
        "Ireland|Dublin|爱尔兰|都柏林",
        "Turkey|Ankara|土耳其|安卡拉",
        "Iran|Tehran|伊朗|德黑兰",
        "Kenya|Nairobi|肯尼亚|内罗毕",
        "Morocco|Rabat|摩洛哥|拉巴特",
        "Nepal|Kathmandu|尼泊尔|加德满都",
        "Mongolia|Ulaanbaatar|蒙古国|乌兰巴托",
        "Hungary|Budapest|匈牙利|布达佩斯",
        "Belgium|Brussels|比利时|布鲁塞尔",
        "Iceland|Reykjavik|冰岛|雷克雅未克",
        "Cambodia|Phnom Penh|柬埔寨|金边",
    ),
    {"en": "The capital of {s} is {o}.", "zh": "{s}的首都是{o}。"},
    {
        "en": (
            "What is the capital of {s}?",
            "Which city is the capital of {s}?",
            "Tell me the capital of {s}.",
            "Do you know the capital of {s}?",
            "Name the capital of {s}.",
            "What's the capital city of {s}?",
        ),
        "zh": (
            "{s}的首都是哪里？",
            "{s}的首都是哪座城市？",
            "请告诉我{s}的首都。",
            "你知道{s}的首都吗？",
            "{s}的首都叫什么？",
            "哪座城市是{s}的首都？",
        ),
    },
    {
        "en": (
            "{o} is the capital of {s}.",
            "{o} lies in {s} and is its capital.",
            "People who visit {s} often start in {o}, the capital.",
            "{s} has many towns, and {o} is its capital.",
        ),
        "zh": (
            "{o}是{s}的首都。",
            "{o}位于{s}，是那里的首都。",
            "去{s}旅行的人常常先到首都{o}。",
            "{s}有很多城市，首都是{o}。",
        ),
    },
)

OPPOSITES = Relation(
    "opposite",
    _facts(
        "big|small|大|小",
        "hot|cold|热|冷",
        "tall|short|高|矮",
        "fast|slow|快|慢",
        "new|old|新|旧",
        "heavy|light|重|轻",
        "open|closed|开|关",
        "day|night|白天|黑夜",
        "left|right|左|右",
        "up|down|上|下",
        "happy|sad|快乐|悲伤",
        "early|late|早|晚",
        "near|far|近|远",
        "wet|dry|湿|干",
        "full|empty|满|空",
        "hard|soft|硬|软",
        "clean|dirty|干净|肮脏",
        "strong|weak|强|弱",
        "thick|thin|厚|薄",
        "deep|shallow|深|浅",
        "rich|poor|富|穷",
        "bright|dark|明亮|黑暗",
        "true|false|真|假",
        "noisy|quiet|吵闹|安静",
        "buy|sell|买|卖",
        "win|lose|赢|输",
        "begin|end|开始|结束",
        "remember|forget|记住|忘记",
        "beautiful|ugly|美丽|丑陋",
        "brave|timid|勇敢|胆小",
        "wide|narrow|宽|窄",
        "expensive|cheap|贵|便宜",
        "easy|difficult|容易|困难",
        "safe|dangerous|安全|危险",
    ),
    {"en": "The opposite of “{s}” is “{o}”.", "zh": "“{s}”的反义词是“{o}”。"},
    {
        "en": (
            "What is the opposite of “{s}”?",
            "Which word is the opposite of “{s}”?",
            "Tell me the opposite of “{s}”.",
            "What's the opposite of “{s}”?",
            "Do you know the opposite of “{s}”?",
            "Name the opposite of “{s}”.",
        ),
        "zh": (
            "“{s}”的反义词是什么？",
            "哪个词是“{s}”的反义词？",
            "请说出“{s}”的反义词。",
            "你知道“{s}”的反义词吗？",
            "和“{s}”意思相反的词是什么？",
            "请告诉我“{s}”的反义词。",
        ),
    },
    {
        "en": (
            "“{s}” and “{o}” are opposites.",
            "When I say “{s}”, you say “{o}”.",
            "“{s}” or “{o}”: it is one or the other.",
        ),
        "zh": ("“{s}”和“{o}”是一对反义词。", "“{s}”和“{o}”意思相反。", "不是“{s}”，就是“{o}”。"),
    },
)

COLOUR_OF = Relation(
    "colour",
    _facts(
        "the sky|blue|天空|蓝色",
        "grass|green|草|绿色",
        "snow|white|雪|白色",
        "a banana|yellow|香蕉|黄色",
        "coal|black|煤|黑色",
        "a strawberry|red|草莓|红色",
        "a lemon|yellow|柠檬|黄色",
        "a leaf in spring|green|春天的树叶|绿色",
        "chocolate|brown|巧克力|棕色",
        "milk|white|牛奶|白色",
        "salt|white|盐|白色",
        "a tomato|red|西红柿|红色",
        "a cucumber|green|黄瓜|绿色",
        "a sunflower|yellow|向日葵|黄色",
        "a swan|white|天鹅|白色",
        "a crow|black|乌鸦|黑色",
        "an aubergine|purple|茄子|紫色",
        "a carrot|orange|胡萝卜|橙色",
        "a pumpkin|orange|南瓜|橙色",
        "an elephant|grey|大象|灰色",
        "a flamingo|pink|火烈鸟|粉色",
        "the sea|blue|大海|蓝色",
        "a cherry|red|樱桃|红色",
        "cotton|white|棉花|白色",
    ),
    {"en": "{s} is {o}.", "zh": "{s}是{o}的。"},
    {
        "en": (
            "What colour is {s}?",
            "What color is {s}?",
            "Which colour does {s} have?",
            "Tell me what colour {s} is.",
            "Do you know what colour {s} is?",
        ),
        "zh": (
            "{s}是什么颜色的？",
            "{s}是什么颜色？",
            "{s}的颜色是什么？",
            "你知道{s}是什么颜色吗？",
            "请告诉我{s}是什么颜色。",
        ),
    },
    {
        "en": ("The colour of {s} is {o}.", "Everybody can see that {s} is {o}.", "In a child's picture, {s} is {o}."),
        "zh": ("{s}的颜色是{o}。", "大家都看得出来，{s}是{o}的。", "在孩子的画里，{s}是{o}的。"),
    },
)

VOICES = Relation(
    "voice",
    _facts(
        "a cat|meow|小猫|喵喵",
        "a dog|woof|小狗|汪汪",
        "a sheep|baa|小羊|咩咩",
        "a cow|moo|牛|哞哞",
        "a duck|quack|鸭子|嘎嘎",
        "a frog|ribbit|青蛙|呱呱",
        "a chick|cheep|小鸡|叽叽",
        "a pig|oink|小猪|哼哼",
        "a bee|buzz|蜜蜂|嗡嗡",
        "a mouse|squeak|老鼠|吱吱",
        "a rooster|cock-a-doodle-doo|公鸡|喔喔",
        "a wolf|awoo|狼|嗷嗷",
        "a pigeon|coo|鸽子|咕咕",
        "a crow|caw|乌鸦|哇哇",
    ),
    {"en": "{s} says “{o}”.", "zh": "{s}{o}叫。"},
    {
        "en": (
            "What does {s} say?",
            "What sound does {s} make?",
            "Which sound does {s} make?",
            "Tell me what {s} says.",
            "Do you know what {s} says?",
        ),
        "zh": ("{s}怎么叫？", "{s}是怎么叫的？", "{s}的叫声是什么样的？", "你知道{s}怎么叫吗？", "请告诉我{s}怎么叫。"),
    },
    {
        "en": ("“{o}!” That is the voice of {s}.", "Listen: “{o}!” It must be {s}.", "At dawn {s} calls “{o}”."),
        "zh": ("“{o}！”这是{s}的叫声。", "听，“{o}！”一定是{s}。", "天亮了，{s}“{o}”地叫起来。"),
    },
)

LEGS = Relation(
    "legs",
    _facts(
        "a spider|eight|蜘蛛|八",
        "an ant|six|蚂蚁|六",
        "a bee|six|蜜蜂|六",
        "a butterfly|six|蝴蝶|六",
        "a cat|four|猫|四",
        "a dog|four|狗|四",
        "a horse|four|马|四",
        "a cow|four|牛|四",
        "an elephant|four|大象|四",
        "a rabbit|four|兔子|四",
        "a hen|two|母鸡|两",
        "a duck|two|鸭子|两",
        "an owl|two|猫头鹰|两",
        "a goose|two|鹅|两",
    ),
    {"en": "{s} has {o} legs.", "zh": "{s}有{o}条腿。"},
    {
        "en": (
            "How many legs does {s} have?",
            "How many legs has {s} got?",
            "Tell me how many legs {s} has.",
            "Do you know how many legs {s} has?",
            "On how many legs does {s} walk?",
        ),
        "zh": (
            "{s}有几条腿？",
            "{s}有多少条腿？",
            "{s}一共有几条腿？",
            "你知道{s}有几条腿吗？",
            "请告诉我{s}有几条腿。",
        ),
    },
    {
        "en": ("{s} walks on {o} legs.", "Count them: {s} has {o} legs.", "With its {o} legs, {s} gets about well."),
        "zh": ("{s}用{o}条腿走路。", "数一数，{s}有{o}条腿。", "{s}长着{o}条腿。"),
    },
)

DAYS = Relation(
    "day",
    _following(
        "Monday Tuesday Wednesday Thursday Friday Saturday Sunday", "星期一 星期二 星期三 星期四 星期五 星期六 星期日"
    ),
    {"en": "{o} comes after {s}.", "zh": "{s}后面是{o}。"},
    {
        "en": (
            "Which day comes after {s}?",
            "What day comes after {s}?",
            "What is the day after {s}?",
            "Today is {s}. What day is tomorrow?",
            "Tell me which day follows {s}.",
        ),
        "zh": (
            "{s}后面是星期几？",
            "{s}的后一天是星期几？",
            "今天是{s}，明天是星期几？",
            "过了{s}是星期几？",
            "请告诉我{s}后面是星期几。",
        ),
    },
    {
        "en": (
            "After {s} comes {o}.",
            "The day after {s} is {o}.",
            "We left on {s} and came home the next day, on {o}.",
        ),
        "zh": ("过了{s}就是{o}。", "{s}的后一天是{o}。", "我们{s}出发，第二天{o}回家。"),
    },
)

MONTHS = Relation(
    "month",
    _following(
        "January February March April May June July August September October November December",
        "一月 二月 三月 四月 五月 六月 七月 八月 九月 十月 十一月 十二月",
    ),
    {"en": "{o} comes after {s}.", "zh": "{s}后面是{o}。"},
    {
        "en": (
            "Which month comes after {s}?",
            "What month comes after {s}?",
            "What is the month after {s}?",
            "Which month follows {s}?",
            "Tell me which month follows {s}.",
        ),
        "zh": (
            "{s}后面是几月？",
            "{s}的下一个月是几月？",
            "过了{s}是几月？",
            "{s}之后是哪个月？",
            "请告诉我{s}后面是几月。",
        ),
    },
    {
        "en": ("After {s} comes {o}.", "The month after {s} is {o}.", "{s} went by, and {o} began."),
        "zh": ("过了{s}就是{o}。", "{s}的下一个月是{o}。", "{s}过去了，{o}来了。"),
    },
)

RELATIONS = (CAPITALS, OPPOSITES, COLOUR_OF, VOICES, LEGS, DAYS, MONTHS)
_WEIGHTS = (10, 8, 5, 3, 3, 2, 3)


def facts(random: Random, language: Language) -> Exchange:
    """A fact that chats do ask for; some ways to ask for it are held out."""
    relation, subject, object_ = _draw(random)
    number = random.randrange(len(relation.questions[language]))
    way = ("question", relation.name, subject.en, number, language)
    wrong = random.choice([other for _, other in relation.facts if other != object_])
    return Exchange(
        "facts",
        language,
        relation.say(relation.questions[language][number], subject, object_, language),
        relation.say(relation.answer[language], subject, object_, language),
        object_.in_(language),
        relation.say(relation.answer[language], subject, wrong, language),
        (way,),
    )


def statement(random: Random, language: Language) -> str:
    """One fact as a sentence of running text."""
    relation, subject, object_ = _draw(random)
    template = random.choice((relation.answer[language], *relation.statements[language]))
    return relation.say(template, subject, object_, language)


def _draw(random: Random) -> tuple[Relation, Word, Word]:
    relation = random.choices(RELATIONS, _WEIGHTS)[0]
    return relation, *random.choice(relation.facts)
