"""People introduce themselves, tell a few things, and ask for them turns later; or ask for what they never told.

Held out are combinations of a way to say something and what is said, of a name and what is told with it, and of what is
told and what is asked.
"""

from dataclasses import dataclass
from random import Random

from chatwright.data.quickstart.exchange import Combination, Exchange, Turn, for_training
from chatwright.data.quickstart.facts import facts
from chatwright.data.quickstart.numbers import addition, comparison
from chatwright.data.quickstart.smalltalk import small_talk
from chatwright.data.quickstart.words import COLOURS, FOODS, NAMES, PETS, SMALL_THINGS, SPOTS, Language, Word, listed

Lines = dict[Language, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Topic:
    """Something about a person that can be told and asked for.

    Attributes:
        name: of the topic.
        told: how people say it, with ``{v}`` for what is told, ``{x}`` for what it is about.
        heard: how the assistant shows that it has listened.
        asked: how people ask for it later.
        answer: the answer.
        untold: the answer where it was not told.
    """

    name: str
    told: Lines
    heard: Lines
    asked: Lines
    answer: dict[Language, str]
    untold: dict[Language, str]


NAME = Topic(
    "name",
    {
        "en": (
            "My name is {v}.",
            "Hello, I'm {v}.",
            "Hi! I am {v}.",
            "Hello! My name is {v}.",
            "I'm {v}.",
            "You can call me {v}.",
            "Hey, {v} here.",
            "Good morning! I'm {v}.",
        ),
        "zh": (
            "我叫{v}。",
            "你好，我叫{v}。",
            "你好！我是{v}。",
            "我的名字叫{v}。",
            "大家都叫我{v}。",
            "嗨，我是{v}。",
            "早上好，我叫{v}。",
            "叫我{v}就好。",
        ),
    },
    {"en": ("Hello {v}, nice to meet you!",), "zh": ("你好，{v}！很高兴认识你。",)},
    {
        "en": ("What is my name?", "What's my name?", "Do you remember my name?", "Who am I?", "What am I called?"),
        "zh": ("我叫什么名字？", "我叫什么？", "你还记得我的名字吗？", "我是谁？", "你知道我叫什么吗？"),
    },
    {"en": "Your name is {v}.", "zh": "你叫{v}。"},
    {"en": "You have not told me your name yet.", "zh": "你还没有告诉我你的名字。"},
)

_TOPICS = (
    Topic(
        "colour",
        {
            "en": (
                "My favourite colour is {v}.",
                "My favorite color is {v}.",
                "I like {v} best of all colours.",
                "The colour I love most is {v}.",
            ),
            "zh": ("我最喜欢的颜色是{v}。", "我最喜欢{v}。", "所有颜色里我最爱{v}。", "{v}是我最喜欢的颜色。"),
        },
        {
            "en": ("{V} is a lovely colour. I will remember it.", "{V}, how nice! I will keep it in mind."),
            "zh": ("{v}很好看，我记住了。", "好的，你喜欢{v}。"),
        },
        {
            "en": (
                "What is my favourite colour?",
                "What's my favorite color?",
                "Which colour do I like best?",
                "Do you remember my favourite colour?",
            ),
            "zh": ("我最喜欢什么颜色？", "我最喜欢的颜色是什么？", "你还记得我最喜欢的颜色吗？", "我喜欢哪种颜色？"),
        },
        {"en": "Your favourite colour is {v}.", "zh": "你最喜欢的颜色是{v}。"},
        {"en": "You have not told me your favourite colour yet.", "zh": "你还没有告诉我你最喜欢的颜色。"},
    ),
    Topic(
        "food",
        {
            "en": (
                "My favourite food is {v}.",
                "I love to eat {v}.",
                "I like {v} more than any other food.",
                "My favorite food is {v}.",
            ),
            "zh": ("我最喜欢吃{v}。", "我最爱吃{v}。", "{v}是我最喜欢的食物。", "我特别喜欢吃{v}。"),
        },
        {
            "en": ("{V}! That sounds delicious.", "I see, you like {v}. Enjoy your meal!"),
            "zh": ("{v}很好吃！我记住了。", "原来你爱吃{v}。"),
        },
        {
            "en": (
                "What is my favourite food?",
                "What do I like to eat?",
                "What's my favorite food?",
                "Do you remember what I like to eat?",
            ),
            "zh": ("我最喜欢吃什么？", "我爱吃什么？", "你还记得我爱吃什么吗？", "我最喜欢的食物是什么？"),
        },
        {"en": "Your favourite food is {v}.", "zh": "你最喜欢吃{v}。"},
        {"en": "You have not told me your favourite food yet.", "zh": "你还没有告诉我你喜欢吃什么。"},
    ),
    Topic(
        "pet",
        {
            "en": (
                "I have a {x} called {v}.",
                "My {x} is called {v}.",
                "My {x}'s name is {v}.",
                "This is {v}, my {x}.",
            ),
            "zh": ("我有一只{x}，叫{v}。", "我的{x}叫{v}。", "我养了一只{x}，名字叫{v}。", "这是我的{x}，叫{v}。"),
        },
        {
            "en": ("{v} is a good name for a {x}.", "Say hello to {v} from me!"),
            "zh": ("{v}，真好听的名字！", "替我向{v}问好！"),
        },
        {
            "en": (
                "What is my {x} called?",
                "What is my {x}'s name?",
                "What's the name of my {x}?",
                "Do you remember the name of my {x}?",
            ),
            "zh": ("我的{x}叫什么？", "我的{x}叫什么名字？", "你还记得我的{x}叫什么吗？", "我的{x}的名字是什么？"),
        },
        {"en": "Your {x} is called {v}.", "zh": "你的{x}叫{v}。"},
        {"en": "You have not told me the name of your {x} yet.", "zh": "你还没有告诉我你的{x}叫什么。"},
    ),
    Topic(
        "thing",
        {
            "en": (
                "I put my {x} {v}.",
                "My {x} is {v}.",
                "I left the {x} {v}.",
                "Please remember: my {x} is {v}.",
            ),
            "zh": ("我把{x}放在{v}了。", "我的{x}在{v}。", "{x}在{v}，请记住。", "我的{x}放在{v}。"),
        },
        {
            "en": ("All right, the {x} is {v}.", "I will remember where the {x} is."),
            "zh": ("好的，{x}在{v}。", "我记住了。"),
        },
        {
            "en": (
                "Where is my {x}?",
                "Where did I put my {x}?",
                "Do you remember where my {x} is?",
                "I can't find my {x}. Where is it?",
            ),
            "zh": ("我的{x}在哪里？", "我把{x}放在哪里了？", "你还记得我的{x}在哪儿吗？", "我找不到{x}了，在哪里？"),
        },
        {"en": "Your {x} is {v}.", "zh": "你的{x}在{v}。"},
        {"en": "You have not told me where your {x} is.", "zh": "你还没有告诉我{x}在哪里。"},
    ),
)

_PET_NAMES: Lines = {
    "en": listed("Momo Biscuit Pepper Shadow Coco Ginger Pearl Rusty Snowy Toffee Pip Willow Bubbles Sunny Muffin"),
    "zh": listed("毛毛 豆豆 团团 圆圆 乐乐 布丁 花花 雪球 旺财 可可 米粒 小黑 皮皮 糖糖 球球"),
}


def greeting(random: Random, language: Language) -> Exchange:
    """Somebody says their name."""
    name, other = random.sample(NAMES[language], 2)
    number = random.randrange(len(NAME.told[language]))
    return Exchange(
        "greetings",
        language,
        NAME.told[language][number].format(v=name),
        NAME.heard[language][0].format(v=name),
        "Hi." if language == "en" else "嗯。",
        NAME.heard[language][0].format(v=other),
        (_told(NAME, number, name),),
    )


def memory(random: Random, language: Language) -> Exchange:
    """Two things are told, something else is talked about, and one of the two is asked for."""
    name = random.choice(NAMES[language])
    topic = random.choice(_TOPICS)
    about, value, wrong = _value(random, topic, language)
    hello, named = _tell(random, NAME, language, "", name)
    telling, told = _tell(random, topic, language, about, value)
    turns = random.sample([hello, telling], 2) + _interlude(random, language)
    combinations = (("remember", name, topic.name, about, value), named, told)
    if random.random() < 0.4:
        other_name = random.choice([other for other in NAMES[language] if other != name])
        topic, about, value, wrong = NAME, "", name, other_name
    question = random.choice(topic.asked[language]).format(x=about)
    answer = topic.answer[language]
    return Exchange(
        "memory",
        language,
        question,
        answer.format(x=about, v=value),
        value,
        answer.format(x=about, v=wrong),
        combinations,
        tuple(turns),
    )


def honesty(random: Random, language: Language) -> Exchange:
    """Something is told, and something else is asked for: then the right answer is to say so."""
    told, asked = random.sample((NAME, *_TOPICS), 2)
    about, value, _ = _value(random, told, language)
    asked_about, invented, _ = _value(random, asked, language)
    number = random.randrange(len(asked.asked[language]))
    telling, said = _tell(random, told, language, about, value)
    return Exchange(
        "honesty",
        language,
        asked.asked[language][number].format(x=asked_about),
        asked.untold[language].format(x=asked_about),
        "No idea." if language == "en" else "不知道。",
        asked.answer[language].format(x=asked_about, v=invented),
        (("untold", told.name, value, asked.name, number), said),
        (telling, *_interlude(random, language)),
    )


def _value(random: Random, topic: Topic, language: Language) -> tuple[str, str, str]:
    """What it is about, what is told, and something else that could have been."""
    pool: tuple[str, ...]
    about = ""
    if topic.name == "name":
        pool = NAMES[language]
    elif topic.name == "pet":
        about = random.choice(PETS).in_(language)
        pool = _PET_NAMES[language]
    elif topic.name == "thing":
        about = random.choice(SMALL_THINGS).in_(language)
        pool = tuple(spot.in_(language) for spot in SPOTS)
    else:
        words: tuple[Word, ...] = COLOURS if topic.name == "colour" else FOODS
        pool = tuple(word.in_(language) for word in words)
    value, other = random.sample(pool, 2)
    return about, value, other


def _tell(random: Random, topic: Topic, language: Language, about: str, value: str) -> tuple[Turn, Combination]:
    """A turn in which something is told, and which combination that is."""
    number = random.randrange(len(topic.told[language]))
    told, heard = topic.told[language][number], random.choice(topic.heard[language])
    turn = (told.format(x=about, v=value), heard.format(x=about, v=value, V=value[0].upper() + value[1:]))
    return turn, _told(topic, number, value)


def _told(topic: Topic, number: int, value: str) -> Combination:
    return ("told", topic.name, number, value)


def _interlude(random: Random, language: Language) -> list[Turn]:
    """A few turns about something else."""
    turns = []
    for _ in range(random.choice((0, 0, 1, 1, 2, 5))):
        skill = random.choice((small_talk, small_talk, addition, comparison, facts))
        exchange = for_training(skill, random, language)
        turns.append((exchange.question, exchange.answer))
    return turns
